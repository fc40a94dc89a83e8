"""One answer for a pipe, interrupted: the exit status tells, no engine is left."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from tiny_model import Shape, write_tiny_gguf


@pytest.fixture(scope="module")
def slow(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that takes its time over an answer of thousands of tokens."""
    shape = Shape(layers=8, width=512, heads=8, kv_heads=8, feed_forward=2048, context=8192)
    return write_tiny_gguf(tmp_path_factory.mktemp("slow") / "slow.gguf", shape)


@pytest.fixture
def asked(clean: Path, slow: Path) -> Iterator[subprocess.Popen[bytes]]:
    """`penjing chat -p`, with the first words of its answer already there."""
    process = subprocess.Popen(
        [sys.executable, "-m", "penjing", "chat", str(slow), "-p", "go on", "--temperature", "0"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout
    process.stdout.read(1)
    yield process
    process.kill()
    process.communicate()


def interrupt(process: subprocess.Popen[bytes]) -> None:
    os.kill(process.pid, signal.SIGINT)


def terminate(process: subprocess.Popen[bytes]) -> None:
    os.kill(process.pid, signal.SIGTERM)


def kill_engine(process: subprocess.Popen[bytes]) -> None:
    for worker in psutil.Process(process.pid).children():
        worker.kill()


@pytest.mark.parametrize(
    ("how", "status", "said"),
    [(interrupt, 130, ""), (terminate, 143, ""), (kill_engine, 5, "stopped in mid-answer (killed by SIGKILL)")],
    ids=["Ctrl-C", "SIGTERM", "kill -9 of the engine"],
)
def test_an_answer_that_is_broken_off(
    asked: subprocess.Popen[bytes], how: Callable[[subprocess.Popen[bytes]], None], status: int, said: str
) -> None:
    workers = psutil.Process(asked.pid).children()
    how(asked)
    _, err = asked.communicate(timeout=60)
    assert asked.returncode == status
    assert said in err.decode()
    assert "Traceback" not in err.decode()
    assert psutil.wait_procs(workers, timeout=30)[1] == []
