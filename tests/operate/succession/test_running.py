"""Which servers are known to run here."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from penjing.operate.succession import running
from penjing.operate.succession.running import Running


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PENJING_HOME", str(tmp_path))
    return tmp_path


def test_a_server_is_known_until_it_ends() -> None:
    ours = running.here("http://127.0.0.1:8123")
    running.write(ours)
    assert running.every() == [ours]
    assert running.read(8123) == ours
    assert (ours.pid, ours.port) == (os.getpid(), 8123)
    running.remove(ours)
    assert running.every() == []
    running.remove(ours)


def test_the_dead_and_their_namesakes_do_not_count(home: Path) -> None:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    ours = running.here("http://[::1]:8001")
    running.write(msgspec.structs.replace(ours, pid=process.pid))
    running.write(msgspec.structs.replace(ours, born=ours.born - 100, url="http://[::1]:8002"))
    (home / "run" / "8003.json").write_text("{")
    (home / "run" / "others.json").write_text("{}")
    assert running.every() == []
    assert list((home / "run").iterdir()) == []


def test_what_a_successor_wrote_stays() -> None:
    ours = running.here("http://127.0.0.1:8123")
    running.write(ours)
    running.remove(Running(1, 0.0, ours.url))
    assert running.every() == [ours]


def test_a_home_that_cannot_be_written_keeps_nobody_from_serving(home: Path) -> None:
    (home / "run").write_text("a file")
    running.write(running.here("http://127.0.0.1:8123"))
    assert running.read(8123) is None
