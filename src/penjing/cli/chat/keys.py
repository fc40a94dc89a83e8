"""The terminal between two prompts: what is typed meanwhile is neither echoed nor lost."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress

if sys.platform != "win32":
    import termios

INPUT, LOCAL = 0, 3  # places of the flags in what tcgetattr returns


@contextmanager
def kept() -> Iterator[None]:
    """Keys wait as they were typed (Enter as Enter) until the next prompt reads them; Ctrl-C still interrupts."""
    try:
        before = termios.tcgetattr(sys.stdin)
    except (termios.error, ValueError):  # not a terminal
        yield
        return
    quiet = list(before)
    quiet[INPUT] &= ~termios.ICRNL
    quiet[LOCAL] &= ~(termios.ECHO | termios.ICANON)
    termios.tcsetattr(sys.stdin, termios.TCSANOW, quiet)
    try:
        yield
    finally:
        with suppress(termios.error):  # the terminal may have been closed
            termios.tcsetattr(sys.stdin, termios.TCSANOW, before)
