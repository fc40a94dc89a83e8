"""How fast a disk reads: a file of our own, written, read past the system's cache, removed.

In a virtual machine the host may still have it in its own cache, and then the number is too good.

Does not know: which disk that is, what else uses it.
"""

from __future__ import annotations

import mmap
import os
import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

SIZE = 128 << 20
BLOCK = 4 << 20
SPARE = 8
"""The disk must have room for so many times the file."""
SECONDS = 1.5
"""Reading ends after this long: an SD card reads 30 MB in it."""
F_NOCACHE = 48
"""macOS `fcntl.h`: leave this descriptor's reads out of the cache."""


def read_rate(folder: Path, size: int = SIZE) -> float | None:
    """Bytes a second of reading in order from `folder`'s disk; None where it cannot be written or is nearly full."""
    path = folder / f".disk-{os.getpid()}.part"
    try:
        if shutil.disk_usage(folder).free < size * SPARE:
            return None
        _write(path, size)
        with _past_the_cache(path) as descriptor:
            return _timed(descriptor)
    except OSError:
        return None
    finally:
        with suppress(OSError):
            path.unlink()


def _write(path: Path, size: int) -> None:
    """Bytes that no disk can compress, on the disk when this returns."""
    block = os.urandom(BLOCK)
    with path.open("xb") as stream:
        for _ in range(size // BLOCK):
            stream.write(block)
        stream.flush()
        os.fsync(stream.fileno())
        if hasattr(os, "posix_fadvise"):
            os.posix_fadvise(stream.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


@contextmanager
def _past_the_cache(path: Path) -> Iterator[int]:
    """A descriptor whose reads reach the disk, where the file system knows such (tmpfs does not)."""
    try:
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_DIRECT", 0))
    except OSError:
        descriptor = os.open(path, os.O_RDONLY)
    try:
        if sys.platform == "darwin":
            import fcntl

            fcntl.fcntl(descriptor, F_NOCACHE, 1)
        yield descriptor
    finally:
        os.close(descriptor)


def _timed(descriptor: int) -> float | None:
    """Bytes a second from the descriptor's place to its end, or as far as SECONDS go."""
    with mmap.mmap(-1, BLOCK) as buffer:  # a page boundary, which O_DIRECT asks for
        begun, moved = time.perf_counter(), 0
        while time.perf_counter() - begun < SECONDS:
            got = os.readv(descriptor, [buffer])
            if not got:
                break
            moved += got
        return moved / (time.perf_counter() - begun) if moved else None
