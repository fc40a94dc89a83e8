"""One process at a time, by a file that the system unlocks when its holder dies, however it dies.

Does not know: what is protected.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

LOOK_AGAIN = 0.2  # seconds


@contextmanager
def held(path: Path, waiting: Callable[[], None] | None = None) -> Iterator[None]:
    """Hold the lock `path` in the block. `waiting` is called again and again while another process has it, and may
    raise to give up."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        while not _taken(descriptor):
            if waiting:
                waiting()
            time.sleep(LOOK_AGAIN)
        yield
    finally:
        os.close(descriptor)  # which unlocks; the file stays, since removing it would let two holders in


@contextmanager
def held_now(path: Path) -> Iterator[bool]:
    """As `held`, without waiting: whether the lock was free and is held in the block."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        yield _taken(descriptor)
    finally:
        os.close(descriptor)


if sys.platform == "win32":
    import msvcrt

    def _taken(descriptor: int) -> bool:
        try:
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True

else:
    import fcntl

    def _taken(descriptor: int) -> bool:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True
