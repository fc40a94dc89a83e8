import os
import tempfile
from pathlib import Path

import pytest

from penjing.engines.llamacpp import process

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
    assert process.telling([]) == ""
    assert len(process.telling(["0.1 E " + "x" * 5000])) == process.TAIL


@pytest.mark.parametrize(
    ("status", "words"),
    [(0, "exit status 0"), (3, "exit status 3"), (-11, "killed by SIGSEGV"), (-9, "killed by SIGKILL"),
     (-200, "killed by signal 200")],
)  # fmt: skip
def test_endings(status: int, words: str) -> None:
    assert process.ending(status) == words


def test_a_full_log_is_set_aside(own_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "LOG_LIMIT", 10)
    log = process.log_path("models/my model:1")
    assert log == own_home / "logs" / "models_my_model_1.log"
    log.write_text("more than ten bytes")
    assert process.log_path("models/my model:1") == log
    assert not log.exists()
    assert log.with_name(log.name + ".1").read_text() == "more than ten bytes"


def test_folders_of_processes_that_are_gone_are_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path) if len(str(tmp_path)) <= 60 else None)
    parent = Path(tempfile.gettempdir())
    gone, ours = parent / f"penjing-{2**22 + 7}-old", parent / f"penjing-{os.getpid()}-live"
    for folder in (gone, ours):
        folder.mkdir()
    made = process.run_folder()
    assert not gone.exists()
    assert ours.exists()
    assert made.stat().st_mode & 0o077 == 0
    for folder in (ours, made):
        folder.rmdir()
