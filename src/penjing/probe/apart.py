"""A measurement in a process of its own, whose threads and memory end with it: JSON lines that say how far it is, the
last one what it found.

Does not know: what is measured.
"""

from __future__ import annotations

import json
import subprocess
import tempfile
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import IO, Any

from penjing.progress import Progress, Report


def run(
    command: Sequence[str],
    *,
    given: bytes = b"",
    patience: float,
    report: Report,
    failed: Callable[[str], Exception],
) -> dict[str, Any]:
    """What `command` found, to which `given` was said. It is given up after `patience` seconds. An exception
    that `report` raises ends it, Ctrl-C too. Raises what `failed` makes of its last words."""
    with tempfile.TemporaryFile() as complaints:
        try:
            child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=complaints)
        except OSError as error:
            raise failed(str(error)) from error
        watchdog = threading.Timer(patience, child.kill)
        watchdog.start()
        try:
            found = _heard(child, given, report)
        finally:
            watchdog.cancel()
            child.kill()
            child.wait()
            for stream in (child.stdin, child.stdout):
                with suppress(BrokenPipeError):  # what it did not want to hear
                    if stream:
                        stream.close()
        if child.returncode or found is None:
            raise failed(_last_words(complaints, child.returncode))
        return found


def _heard(child: subprocess.Popen[bytes], given: bytes, report: Report) -> dict[str, Any] | None:
    if child.stdin:
        with suppress(BrokenPipeError):  # it has ended already; its last words say why
            child.stdin.write(given)
            child.stdin.close()
    found = None
    for line in child.stdout or ():
        said = json.loads(line)
        if "stage" in said:
            report(Progress(said["fraction"], said["stage"]))
        else:
            found = said
    child.wait()
    return found


def _last_words(complaints: IO[bytes], status: int) -> str:
    complaints.seek(0)
    lines = complaints.read().decode(errors="replace").strip().splitlines()
    return lines[-1] if lines else f"exit status {status}"
