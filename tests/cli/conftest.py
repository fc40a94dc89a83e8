from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from penjing.cli import talk
from shells import Done, Shell
from tiny_checkpoint import write_checkpoint
from tiny_model import Shape, write_tiny_gguf


@pytest.fixture(autouse=True)
def loud(monkeypatch: pytest.MonkeyPatch) -> None:
    """A door that was called with --quiet in another test leaves this process quiet."""
    monkeypatch.setattr(talk, "_quiet", False)


@pytest.fixture
def clean(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A person's machine on which nothing is set; returns PENJING_HOME."""
    for name in [name for name in os.environ if name.startswith("PENJING_")]:
        monkeypatch.delenv(name)
    for name in ("NO_COLOR", "LC_ALL", "LC_MESSAGES"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("LANG", "C.UTF-8")
    monkeypatch.setenv("PENJING_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    return tmp_path / "home"


@pytest.fixture
def shell(clean: Path) -> Shell:
    """Runs `penjing ...` as its own process; no way through it may show a traceback."""

    def run(*arguments: str, given: str = "", **environment: str) -> Done:
        command = [sys.executable, "-m", "penjing", *arguments]
        done = subprocess.run(
            command, input=given, capture_output=True, text=True, timeout=120, env={**os.environ, **environment}
        )
        assert "Traceback" not in done.stderr
        assert "Traceback" not in done.stdout
        return Done(done.returncode, done.stdout, done.stderr)

    return run


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A real GGUF whose answers mean nothing."""
    return write_tiny_gguf(tmp_path_factory.mktemp("tiny") / "tiny.gguf", Shape(context=512))


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    """A tiny checkpoint in its true format."""
    return write_checkpoint(tmp_path / "checkpoint")
