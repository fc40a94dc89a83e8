from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from penjing import files
from penjing.errors import DiskFull

WRITER = """
import sys, time
from pathlib import Path
from penjing.files import writing
with writing(Path(sys.argv[1])) as stream:
    stream.write(b"half")
    stream.flush()
    print("writing", flush=True)
    time.sleep(60)
"""


def test_home_follows_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PENJING_HOME", str(tmp_path / "here"))
    assert files.home() == tmp_path / "here"
    monkeypatch.delenv("PENJING_HOME")
    assert files.home().name == "penjing"


def test_a_home_of_nobody_is_named() -> None:
    assert files.expanded("~/a") == Path.home() / "a"
    assert files.expanded("./a") == Path("a")
    with pytest.raises(files.NoSuchUser, match="~nobody-of-this-name/a"):
        files.expanded("~nobody-of-this-name/a")


@pytest.mark.parametrize(
    ("size", "text"), [(0, "0 B"), (999, "999 B"), (1_500_000, "1.5 MB"), (8e9, "8.0 GB"), (5e15, "5000.0 TB")]
)
def test_human(size: float, text: str) -> None:
    assert files.human(size) == text


def test_whole_or_not_at_all(tmp_path: Path) -> None:
    path = files.write_whole(tmp_path / "deep" / "a.json", b"old")
    with pytest.raises(TypeError), files.writing(path) as stream:
        stream.writelines([b"new", "not bytes"])  # type: ignore[list-item]
    assert path.read_bytes() == b"old"
    assert [entry.name for entry in path.parent.iterdir()] == ["a.json"]


def test_a_killed_writer_leaves_the_old_file(tmp_path: Path) -> None:
    path = files.write_whole(tmp_path / "a.bin", b"old")
    with subprocess.Popen([sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == b"writing\n"
        os.kill(child.pid, signal.SIGKILL)
        child.wait()
    assert path.read_bytes() == b"old"


def test_a_full_disk_is_named_and_leaves_nothing(tmp_path: Path) -> None:
    """/dev/full answers every write with ENOSPC: what a full disk does, without filling one."""
    with pytest.raises(DiskFull) as caught, files.writing(tmp_path / "a.bin") as _, open("/dev/full", "wb") as full:  # noqa: PTH123
        full.write(b"x" * 100_000)
    assert str(tmp_path) in caught.value.message("en")
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_told_with_the_size_that_is_known(tmp_path: Path) -> None:
    with (
        pytest.raises(DiskFull, match=r"2\.0 MB needed"),
        files.filling(tmp_path, 2_000_000),
        open("/dev/full", "wb", buffering=0) as full,  # noqa: PTH123
    ):
        full.write(b"x")
    with pytest.raises(DiskFull, match="needed"), files.filling(tmp_path, 1 << 60):
        raise AssertionError("it begins without room")


def test_room_is_asked_of_the_nearest_folder(tmp_path: Path) -> None:
    files.require_room(tmp_path / "not" / "yet", 1)
    with pytest.raises(DiskFull) as caught:
        files.require_room(tmp_path / "not" / "yet", 1 << 60)
    assert "PENJING_HOME" in caught.value.advice("en")
