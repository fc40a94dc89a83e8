"""Real processes that measure nothing."""

from __future__ import annotations

import sys

import pytest

from penjing.probe import apart
from penjing.progress import Progress

PATIENCE = 20.0


class Failed(Exception):
    pass


def ran(script: str, given: bytes = b"", patience: float = PATIENCE) -> tuple[dict[str, object], list[Progress]]:
    heard: list[Progress] = []
    command = (sys.executable, "-c", script)
    return apart.run(command, given=given, patience=patience, report=heard.append, failed=Failed), heard


def test_what_it_was_given_and_what_it_found() -> None:
    script = (
        "import json, sys\n"
        "print(json.dumps({'stage': 'reading', 'fraction': 0.5}))\n"
        "print(json.dumps({'heard': sys.stdin.readline()}))"
    )
    found, heard = ran(script, b"hello\n")
    assert found == {"heard": "hello\n"}
    assert heard == [Progress(0.5, "reading")]


def test_more_than_it_reads() -> None:
    """A child that ends before it has read everything is judged by what it says."""
    with pytest.raises(Failed, match="enough"):
        ran("import sys; sys.stdin.close(); sys.exit('enough')", b"x" * (8 << 20))


def test_a_child_that_finds_nothing() -> None:
    with pytest.raises(Failed, match="exit status 0"):
        ran("")


def test_a_child_that_crashes() -> None:
    with pytest.raises(Failed, match="exit status -6"):
        ran("import os; os.abort()")


def test_a_child_that_hangs() -> None:
    with pytest.raises(Failed):
        ran("import time; time.sleep(60)", patience=0.2)


def test_no_such_program() -> None:
    with pytest.raises(Failed):
        apart.run(("/nowhere/python",), patience=1, report=lambda progress: None, failed=Failed)
