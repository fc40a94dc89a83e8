from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from penjing.lock import held
from penjing.progress import Progress
from penjing.store import cache
from penjing.store.resolve import resolve
from tiny_checkpoint import write_checkpoint
from tiny_model import write_tiny_gguf


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PENJING_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def test_key_changes_with_the_source(tmp_path: Path) -> None:
    source = tmp_path / "a"
    source.write_bytes(b"one")
    first = cache.key(source, [source], "8")
    assert cache.key(source, [source], "8") == first
    assert cache.key(source, [source], "4").place != first.place
    os.utime(source, ns=(1, 1))
    touched = cache.key(source, [source], "8")
    assert touched.place == first.place
    assert touched.identity != first.identity
    source.write_bytes(b"three")
    os.utime(source, ns=(1, 1))
    assert cache.key(source, [source], "8").identity != touched.identity
    moved = source.rename(tmp_path / "b")
    assert cache.key(moved, [moved], "8").place != first.place


KEY = cache.Key("x", "1", Path("/"))


def test_made_once() -> None:
    calls: list[Path] = []

    def make(path: Path) -> None:
        calls.append(path)
        write_tiny_gguf(path)

    assert cache.made(KEY, make) == cache.made(KEY, make)
    assert len(calls) == 1


def test_a_damaged_entry_is_made_again() -> None:
    path = cache.made(KEY, write_tiny_gguf)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    assert cache.made(KEY, write_tiny_gguf).read_bytes() == whole


def test_an_older_version_makes_room() -> None:
    older = cache.made(KEY, write_tiny_gguf)
    other = cache.made(cache.Key("y", "1", Path("/")), write_tiny_gguf)
    newer = cache.made(cache.Key("x", "2", Path("/")), write_tiny_gguf)
    assert not older.exists()
    assert newer.exists()
    assert other.exists()


def test_leftovers_of_the_dead_are_removed_and_of_the_living_kept() -> None:
    cache.folder().mkdir(parents=True)
    dead, living = (cache.folder() / f".{place}-1.gguf.0123abcd.part" for place in ("dead", "living"))
    dead.touch()
    living.touch()
    upstream = cache.folder() / ".dead-1.gguf.xyz.part"
    upstream.mkdir()
    (upstream / "whole.gguf").touch()
    with held(cache.folder() / "living.lock"):
        cache.made(KEY, write_tiny_gguf)
    assert not dead.exists()
    assert not upstream.exists()
    assert living.exists()


def test_a_failure_leaves_nothing() -> None:
    def make(path: Path) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        cache.made(KEY, make)
    assert [path.name for path in cache.folder().iterdir()] == ["x.lock"]


def test_waiting_for_another_can_be_given_up() -> None:
    def give_up(progress: Progress) -> None:
        assert progress.stage == "waiting"
        raise KeyboardInterrupt

    with held(cache.folder() / "x.lock"), pytest.raises(KeyboardInterrupt):
        cache.made(KEY, write_tiny_gguf, give_up)


CONVERT = """
import sys, time
from penjing.store.resolve import resolve

def report(progress):
    if progress.stage == "converting":
        print("converting", flush=True)
        time.sleep(float(sys.argv[2]))

print(resolve(sys.argv[1], bits=16, progress=report).path, flush=True)
"""


def start(folder: Path, pause: float) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", CONVERT, str(folder), str(pause)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def test_two_processes_convert_once(tmp_path: Path) -> None:
    folder = write_checkpoint(tmp_path / "tiny")
    both = [start(folder, 0.02), start(folder, 0.02)]
    answers = [process.communicate(timeout=60)[0].splitlines() for process in both]
    assert answers[0][-1] == answers[1][-1]
    assert sorted("converting" in answer for answer in answers) == [False, True]


def test_killed_in_mid_conversion(tmp_path: Path) -> None:
    folder = write_checkpoint(tmp_path / "tiny")
    process = start(folder, 30)
    assert process.stdout is not None
    assert process.stdout.readline() == "converting\n"
    process.send_signal(signal.SIGKILL)
    process.wait(10)
    process.stdout.close()
    kinds = {path.suffix for path in cache.folder().iterdir()}
    assert kinds == {".lock", ".part", ".source"}
    started = time.monotonic()
    path = resolve(str(folder), bits=16).path
    assert time.monotonic() - started < 20  # the dead one's lock does not hold
    assert {entry.suffix for entry in cache.folder().iterdir()} == {".gguf", ".lock", ".source"}
    assert list(cache.folder().glob("*.gguf")) == [path]
