"""numpy's products of matrices on one thread each, while many are computed side by side.

numpy's wheels bring OpenBLAS, whose threads wait by turning in circles: beside threads of our own they cost more than
they bring, and on a busy machine most of its time. Where numpy has another library nothing is done.

Does not know: what is computed.
"""

from __future__ import annotations

import ctypes
import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

NAMES = "scipy_openblas_{}_num_threads64_"
"""How OpenBLAS is called within numpy's wheels (github.com/MacPython/openblas-libs)."""


@functools.cache
def _functions() -> tuple[Callable[[], int], Callable[[int], None]] | None:
    """What asks and what says how many threads there are."""
    place = Path(np.__file__).parent.parent / "numpy.libs"
    path = next(iter(sorted(place.glob("libscipy_openblas*"))), None)
    try:
        library = ctypes.CDLL(str(path)) if path else None
        return (getattr(library, NAMES.format("get")), getattr(library, NAMES.format("set"))) if library else None
    except (OSError, AttributeError):  # one without these functions: left as it is
        return None


@contextmanager
def one_thread() -> Iterator[None]:
    """In the block each product of matrices is computed by the thread that asks for it."""
    found = _functions()
    if found is None:
        yield
        return
    get, put = found
    before = get()
    put(1)
    try:
        yield
    finally:
        put(before)
