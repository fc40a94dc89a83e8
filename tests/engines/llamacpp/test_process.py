import os
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from penjing.engines.llamacpp import LlamaCpp, process
from penjing.engines.llamacpp.settings import Settings
from penjing.errors import EngineStartFailed
from tiny_model import write_tiny_gguf

LOG = """\
0.00.001.995 I srv          init: build_info: b0-unknown
0.00.008.604 E llama_model_load: error loading model: missing tensor   'output_norm.weight'
0.00.008.605 E llama_model_load_from_file_impl: failed to load model
"""


def test_what_a_log_tells() -> None:
    told = process.telling(LOG.splitlines())
    assert told.startswith("llama_model_load: error loading model: missing tensor 'output_norm.weight'")
    assert "build_info" not in told
    assert process.telling(["Traceback", "", "ImportError: no library"]) == "Traceback; ImportError: no library"
    assert process.telling(["1 I loading", "/a/llama-vocab.cpp:7: GGML_ASSERT(x) failed"]) == "GGML_ASSERT(x) failed"
    assert process.telling([]) == ""
    assert len(process.telling(["0.1 E " + "x" * 5000])) == process.TAIL


@pytest.mark.parametrize(
    ("status", "words"),
    [(0, "exit status 0"), (3, "exit status 3"), (-11, "killed by SIGSEGV"), (-9, "killed by SIGKILL"),
     (-200, "killed by signal 200")],
)  # fmt: skip
def test_endings(status: int, words: str) -> None:
    assert process.ending(status) == words


@pytest.mark.parametrize("line", [b"", b"Loading ...\n", b"[1]\n", b'{"stage": 1}\n', b"\xff\n"])
def test_a_line_that_is_no_report(line: bytes) -> None:
    with pytest.raises(EngineStartFailed, match="no report"):
        process.report(line, "guide")


def test_a_full_log_is_set_aside(own_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "LOG_LIMIT", 10)
    log = process.log_path("models/my model:1", tmp_path)
    assert log == own_home / "logs" / "models_my_model_1.log"
    log.write_text("more than ten bytes")
    assert process.log_path("models/my model:1", tmp_path) == log
    assert not log.exists()
    assert log.with_name(log.name + ".1").read_text() == "more than ten bytes"


def test_a_home_that_cannot_be_written_costs_only_the_kept_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("PENJING_HOME", str(tmp_path / "file"))
    assert process.log_path("a", tmp_path) == tmp_path / "engine.log"


@pytest.fixture
def parent() -> Iterator[Path]:
    """A folder for run folders; pytest's own are too deep for a socket."""
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        yield Path(folder)


def test_abandoned_folders_are_removed(parent: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(parent))
    gone = 2**22 + 7
    names = {name: parent / f"penjing-{name}" for name in (f"{gone}-dead", f"{gone}-alive", f"{gone}-early", "fake-x")}
    names["own"] = parent / f"penjing-{os.getpid()}-own"
    for folder in names.values():
        folder.mkdir()
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(names[f"{gone}-dead"] / process.SOCKET))
    with socket.socket(socket.AF_UNIX) as alive:
        alive.bind(str(names[f"{gone}-alive"] / process.SOCKET))
        alive.listen()
        made = process.run_folder()
    assert made.stat().st_mode & 0o077 == 0
    assert {name for name, folder in names.items() if not folder.exists()} == {f"{gone}-dead"}


async def test_a_process_that_cannot_be_made_is_a_failed_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "COMMAND", ("/nowhere/python",))
    one = process.Process(Settings("m", "n", 1, 1, 1, 1, 1, 1))
    with pytest.raises(EngineStartFailed, match="nowhere"):
        await one.start(print)
    await one.stop()
    assert not one.folder.exists()


@pytest.mark.usefixtures("own_home")
async def test_a_log_that_grew_while_it_runs_is_set_aside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one = LlamaCpp(write_tiny_gguf(tmp_path / "tiny.gguf"), "tiny")
    await one.start()
    assert one.log is not None
    before = one.log.stat().st_size
    assert await one.ready()
    assert one.log.stat().st_size >= before
    monkeypatch.setattr(process, "LOG_LIMIT", 100)
    assert await one.ready()
    assert one.log.stat().st_size == 0
    assert one.log.with_name("tiny.log.1").stat().st_size == 100
    await one.stop()
