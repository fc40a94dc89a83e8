"""Pages of a mapped file that this process has no more use for.

The library maps a model's file and copies most matrices into the order in which the processor reads them best; the
mapped originals would stay in the process's memory beside the copies. Told that they are not needed, the kernel takes
them out; what is read after all comes back from its page cache, without the disk as long as there is room.

Source: madvise(2), proc_pid_maps(5). Elsewhere than on Linux nothing is done.

Does not know: models.
"""

from __future__ import annotations

import ctypes
import os
import re
import sys
from pathlib import Path

DONTNEED = 4
"""sys/mman.h, MADV_DONTNEED: of a file that is mapped and not written, pages are read again when they are used."""
MAPPING = re.compile(r"([0-9a-f]+)-([0-9a-f]+) r--[ps] \S+ \S+ \d+ +(.*)")
"""Read-only ones: of what was written a page would be lost."""


def let_go(path: Path) -> int:
    """Take the pages of the file at `path` that this process has mapped out of its memory; how many bytes are mapped.
    Never fails: what the kernel refuses (locked pages) stays."""
    if not sys.platform.startswith("linux"):
        return 0
    library, total = ctypes.CDLL(None), 0
    library.madvise.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
    for start, end in mappings(path):
        if library.madvise(start, end - start, DONTNEED) == 0:
            total += end - start
    return total


def mappings(path: Path) -> list[tuple[int, int]]:
    """Where this process has mapped the file at `path`, read-only: addresses of the first byte and behind the last."""
    name = os.path.realpath(path)
    found = map(MAPPING.fullmatch, Path("/proc/self/maps").read_text(errors="surrogateescape").splitlines())
    return [(int(one[1], 16), int(one[2], 16)) for one in found if one and one[3] == name]
