"""Memory that was freed goes back to the system.

glibc keeps what lies between blocks in use, more of it with every thread: a worker that answered 45,000 requests held
16 % more than at its beginning, and less than then once that was given back (malloc_trim(3)). Other C libraries do so
themselves, or have no way to be asked.

Does not know: who freed it.
"""

from __future__ import annotations

import ctypes
import functools
import sys
from collections.abc import Callable


@functools.cache
def _trim() -> Callable[[int], int] | None:
    if sys.platform != "linux":
        return None
    found: Callable[[int], int] | None = getattr(ctypes.CDLL(None), "malloc_trim", None)
    return found


def trim() -> bool:
    """Give back what can be, in some milliseconds; whether there was any."""
    call = _trim()
    return call is not None and bool(call(0))
