"""`penjing pull` as people type it, stopped in every way."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from model_hub import Hub, Repository, serving
from penjing.cli.pull import tell
from penjing.manifest import Manifest
from penjing.sources.catalogue import entries
from penjing.store.order import order
from penjing.store.pull import Pulled
from penjing.store.versions import Store
from shells import Shell
from terminals import Terminal
from tiny_model import Shape, write_tiny_gguf


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return write_tiny_gguf(tmp_path_factory.mktemp("tiny") / "t.gguf", Shape(layers=4, width=256)).read_bytes()


@pytest.fixture
def hub(clean: Path, monkeypatch: pytest.MonkeyPatch, whole: bytes) -> Iterator[Hub]:
    for name in ("HF_TOKEN", "HF_HUB_CACHE", "OLLAMA_MODELS", "HF_HUB_OFFLINE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HF_HOME", str(clean.parent / "none"))
    monkeypatch.setenv("HOME", str(clean.parent))
    files = {"t-F32.gguf": whole, "t-Q8_0.gguf": whole[:-4] + b"\0\0\0\0", "README.md": b"# t"}
    with serving({"o/r": Repository(files), "o/gated": Repository(dict(files), gated=True)}) as running:
        monkeypatch.setenv("HF_ENDPOINT", running.url)
        yield running


def test_fetched_shown_and_talked_to(hub: Hub, shell: Shell) -> None:
    done = shell("pull", "hf:o/r:F32")
    assert (done.status, done.out) == (0, "")
    assert "apache-2.0" in done.err
    assert "Downloading" in done.err
    assert "penjing chat o/r:f32" in done.err
    again = json.loads(shell("pull", "hf:o/r:F32", "--json").out)
    assert (again["known"], again["version"], again["quantization"]) == (True, "o/r@1", "F32")
    answer = shell("chat", "hf:o/r:F32", "-p", "hi", "--max-tokens", "3", "--json")
    assert answer.status == 0, answer.err


def test_without_a_quantization_one_is_chosen_and_the_reason_said(hub: Hub, shell: Shell) -> None:
    done = shell("pull", "hf:o/r", "--dry-run", "--json")
    told = json.loads(done.out)
    assert told["reason"] in ("best", "fast", "slow", "fits", "tight", "gpu")
    assert f"{told['quantization']}: " in done.err
    assert "of 2" in done.err
    assert hub.moved < 1 << 20
    chinese = shell("pull", "hf:o/r", "--dry-run", PENJING_LANGUAGE="zh")
    assert "许可证：apache-2.0" in chinese.err
    assert "t-" in chinese.out


def test_what_there_is(hub: Hub, shell: Shell) -> None:
    shown = shell("pull", "hf:o/r", "--list")
    assert all(label in shown.out for label in ("F32", "Q8_0", "t-F32.gguf", "512 tokens"))
    told = json.loads(shell("pull", "hf:o/r", "--list", "--json").out)
    assert {(each["quantization"], each["context"]) for each in told["variants"]} == {("F32", 512), ("Q8_0", 512)}
    gated = json.loads(shell("pull", "hf:o/gated", "--list", "--json").out)
    assert (gated["gated"], [each["context"] for each in gated["variants"]]) == (True, [None, None])
    names = shell("pull", "--list").out
    assert all(name in names for name in entries())
    assert {each["name"] for each in json.loads(shell("pull", "--list", "--json").out)} == set(entries())


@pytest.mark.parametrize(
    ("arguments", "status", "word"),
    [
        ((), 2, "pull --list"),
        (("hf:o/gated:F32",), 2, "accept the licence"),
        (("hf:o/r:Q2_K",), 2, "It has: "),
        (("hf:o/nothing",), 2, "HF_TOKEN"),
        (("nothing-like-it",), 3, "hf:OWNER/REPO"),
        (("hf:o",), 3, "HF_TOKEN"),
        (("hf:o/r", "--connections", "0"), 2, "1 to 32"),
        (("hf:o/r:F32", "--name", "a b"), 2, "NAME:TAG"),
    ],
)
def test_what_goes_wrong_is_said_with_what_to_do(
    hub: Hub, shell: Shell, arguments: tuple[str, ...], status: int, word: str
) -> None:
    done = shell("pull", *arguments)
    assert (done.status, word in done.err) == (status, True), done.err
    assert Store().versions() == []


def test_into_a_folder(hub: Hub, shell: Shell, tmp_path: Path, whole: bytes) -> None:
    done = shell("pull", "hf:o/r:F32", "--output", str(tmp_path / "here"))
    assert done.out.strip() == str(tmp_path / "here" / "t-F32.gguf")
    assert (tmp_path / "here" / "t-F32.gguf").read_bytes() == whole


def started() -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "penjing", "pull", "hf:o/r:F32"]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def wait_for(hub: Hub, moved: int) -> None:
    while hub.moved < moved:
        time.sleep(0.01)


def test_ctrl_c_keeps_what_came(hub: Hub, shell: Shell, whole: bytes) -> None:
    hub.faults.pause, hub.faults.block = 0.02, 1 << 15
    child = started()
    wait_for(hub, len(whole) // 2)
    child.send_signal(signal.SIGINT)
    _, said = child.communicate()
    assert child.returncode == 130
    assert "Stopped. What has come is kept" in said
    assert Store().versions() == []
    hub.faults.pause, before = 0.0, hub.moved
    assert shell("pull", "hf:o/r:F32").status == 0
    assert hub.moved - before < 0.7 * len(whole)
    assert Store().find("o/r").path.read_bytes() == whole


def test_killed_again_and_again_it_ends_whole(hub: Hub, whole: bytes) -> None:
    hub.faults.pause, hub.faults.block = 0.01, 1 << 15
    chance = random.Random(7)
    killed = 0
    for _ in range(30):
        child = started()
        step = hub.moved + chance.randrange(len(whole) // 3)
        while child.poll() is None and hub.moved < step:
            time.sleep(0.005)
        if child.poll() is None and killed < 4:
            os.kill(child.pid, signal.SIGKILL)
            child.communicate()
            killed += 1
            continue
        _, said = child.communicate()
        assert child.returncode == 0, said
        break
    assert killed == 4
    assert Store().find("o/r").path.read_bytes() == whole
    assert hub.moved < 3 * len(whole)
    assert len(Store().versions()) == 1


@pytest.mark.parametrize("answer", ["y", "n"])
def test_a_model_that_is_not_here_is_fetched_where_a_person_wants_it(hub: Hub, answer: str) -> None:
    with closing(Terminal("chat", "hf:o/r@main:F32", "-p", "hi", "--max-tokens", "3")) as terminal:
        terminal.expect("Fetch it now?")
        terminal.line(answer)
        terminal.expect("Kept as o/r@1" if answer == "y" else "penjing pull hf:o/r@main:F32")
        assert terminal.wait() == (0 if answer == "y" else 3)


def test_nobody_is_asked_where_nobody_is(hub: Hub, shell: Shell) -> None:
    done = shell("chat", "hf:o/r:F32", "-p", "hi")
    assert (done.status, "Fetch it first: penjing pull hf:o/r:F32" in done.err) == (3, True)


def test_what_would_be_refused_is_said_at_once(hub: Hub, clean: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write_tiny_gguf(clean.parent / "m.gguf")
    made = Store().add({"m.gguf": path}, Manifest(name="mine", version=""), origin="hub:http://127.0.0.1:9")
    tell(Pulled(order("hf:o/r:F32", name="mine"), made.path, made.manifest, made, moved=5))
    said = capsys.readouterr().err
    assert "Kept as mine@1: penjing chat mine" in said
    assert "mine@1 is not signed" in said
    assert "--allow-untrusted" in said
