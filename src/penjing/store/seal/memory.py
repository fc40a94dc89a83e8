"""A file that is only in memory (memfd_create(2), Linux 3.17): written once, then unchangeable, mapped by whoever has
its descriptor.

Does not know: what is in it.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

from penjing.store.seal.faults import NoMemoryFile

F_ADD_SEALS, EVERY_SEAL = 1033, 0x1 | 0x2 | 0x4 | 0x8  # fcntl.h: SEAL, SHRINK, GROW, WRITE
PROT_READ, MAP_SHARED = 1, 1
MAP_FAILED = (1 << 64) - 1


class Memory:
    """`size` bytes, zero until they are written. `path` names it in this process and in any that inherits `descriptor`
    under the same number. It lasts until `close`, here and in those that have it."""

    def __init__(self, name: str, size: int) -> None:
        if sys.platform != "linux" or not hasattr(os, "memfd_create"):
            raise NoMemoryFile
        self.size = size
        self.locked = False
        """Whether its pages are kept out of swap."""
        self._address = 0
        self.descriptor = os.memfd_create(name[:200], os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        os.truncate(self.descriptor, size)

    @property
    def path(self) -> Path:
        """What to open."""
        return Path(f"/proc/self/fd/{self.descriptor}")

    def finish(self, changed_ns: int, *, lock: bool) -> None:
        """Let nobody write to it any more; its time of change is `changed_ns`. With `lock` its pages, all of which must
        be filled, are kept out of swap where this user may (RLIMIT_MEMLOCK)."""
        import fcntl

        os.utime(self.descriptor, ns=(changed_ns, changed_ns))
        fcntl.fcntl(self.descriptor, F_ADD_SEALS, EVERY_SEAL)
        if lock and self.size:
            self._lock()

    def close(self) -> None:
        """Give up this process's hold; a second time does nothing."""
        address, self._address = self._address, 0
        descriptor, self.descriptor = self.descriptor, -1
        if address:
            _library().munmap(address, self.size)
        if descriptor >= 0:
            os.close(descriptor)

    def __del__(self) -> None:
        if getattr(self, "descriptor", -1) >= 0:
            self.close()

    def _lock(self) -> None:
        """mlock(2) works on a mapping, so one is kept."""
        library = _library()
        address = library.mmap(None, self.size, PROT_READ, MAP_SHARED, self.descriptor, 0)
        if address in (None, MAP_FAILED):
            return
        if library.mlock(address, self.size):
            library.munmap(address, self.size)
            return
        self._address, self.locked = address, True


def _library() -> Any:
    """The C library, with the types of what is called; ctypes would pass addresses as 32-bit numbers."""
    import ctypes

    library = ctypes.CDLL(None, use_errno=True)
    library.mmap.restype = ctypes.c_void_p
    library.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, *[ctypes.c_int] * 3, ctypes.c_long]
    library.munmap.argtypes = library.mlock.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
    return library
