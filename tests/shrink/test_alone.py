"""One run at a time writes an output; what a killed one left half written goes when the next one begins."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from penjing.shrink.alone import OutputBusy, alone

KILLED = """
import os, signal, sys
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from penjing.files import writing
from penjing.shrink.output import whole_folder
with ExitStack() as stack:
    for output in map(Path, sys.argv[1:]):
        stack.enter_context(whole_folder(output))
        stack.enter_context(writing(output))
        stack.enter_context(TemporaryDirectory(prefix=f".{output.name}.", suffix=".part", dir=output.parent))
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PENJING_HOME", str(tmp_path / "home"))
    return tmp_path


def test_two_at_a_time(here: Path) -> None:
    with alone(here / "small"):
        with alone(here / "other"):
            pass
        with pytest.raises(OutputBusy, match="small"), alone(here / "small"):
            pass
    with alone(here / "small"):
        pass


def test_what_a_killed_run_left_is_removed(here: Path) -> None:
    """What was begun for another output in the same folder stays."""
    killed = [sys.executable, "-c", KILLED, "small", "small.gguf"]
    assert subprocess.run(killed, cwd=here, timeout=60).returncode == -signal.SIGKILL
    begun = {path.name for path in here.iterdir()}
    assert len(begun) == 6
    with alone(here / "small"):
        assert {name for name in begun if name.startswith(".small.gguf.")} == {
            path.name for path in here.iterdir() if path.name != "home"
        }
    with alone(here / "small.gguf"):
        assert [path.name for path in here.iterdir()] == ["home"]
