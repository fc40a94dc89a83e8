"""What is left of a server that was replaced: a process of its number, for whoever started it (a shell, systemd, a
container), that waits for its successors, hands signals on to them and ends as the last one does.

It is run as a file, by an interpreter without packages, so that it takes little memory: it imports nothing of penjing.

    python -S -E stay.py PID

Does not know: servers.
"""

from __future__ import annotations

import os
import signal
import sys
from contextlib import suppress
from pathlib import Path
from types import FrameType

FORWARDED = tuple(
    getattr(signal, name)
    for name in ("SIGTERM", "SIGHUP", "SIGQUIT", "SIGUSR1", "SIGUSR2")
    if hasattr(signal, name)  # Windows has one of them, and nobody stays there
)
HEARD = (*FORWARDED, signal.SIGINT)


def children(known: int) -> list[int]:
    """Processes that are ours: where the system lists them, successors of the known one too."""
    us = str(os.getpid())
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        with suppress(OSError, IndexError):  # it has ended meanwhile
            if (entry / "stat").read_text().rpartition(")")[2].split()[1] == us:
                found.append(int(entry.name))
    return found or [known]


def at_terminal() -> bool:
    """Whether Ctrl-C reaches the successors anyway: they are in the group of the terminal, as this process is."""
    with suppress(OSError):
        return os.tcgetpgrp(0) == os.getpgrp()
    return False


def main(known: int) -> int:
    """Wait until no child is left; the first status that was not 0, else 0. One that was about to end when it was told
    to may have had no ear for that any more; then its successor is told."""
    told = set()

    def forward(number: int, frame: FrameType | None = None) -> None:
        told.add(number)
        for each in children(known):
            with suppress(OSError):
                os.kill(each, number)

    for number in FORWARDED:
        signal.signal(number, forward)
    signal.signal(signal.SIGINT, signal.SIG_IGN if at_terminal() else forward)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())  # what came while nobody listened comes now
    status = 0
    while True:
        try:
            _, ended = os.waitpid(-1, 0)
        except ChildProcessError:
            return status
        how = os.waitstatus_to_exitcode(ended)
        if -how in told and children(0) != [0]:
            forward(-how)
        else:
            status = status or how


if __name__ == "__main__":
    code = main(int(sys.argv[1]))
    if code < 0:  # as who it was for would have died
        with suppress(OSError):  # SIGKILL cannot be caught, so it need not be let through
            signal.signal(-code, signal.SIG_DFL)
        os.kill(os.getpid(), -code)
    sys.exit(code)
