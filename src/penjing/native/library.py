"""The loaded shared object of llama.cpp: the one in use (`libraries`), or another that this process is told to take.

Functions are called by ctypes with the prototypes of ggml.h, ggml-alloc.h and ggml-backend.h. The calls release the
GIL.

Does not know: what is called, which models there are.
"""

from __future__ import annotations

import ctypes
import functools
from pathlib import Path
from typing import Any

from penjing.native import libraries, spin
from penjing.native.libraries import Library
from penjing.native.libraries import LibraryMissing as LibraryMissing

_told: Library | None = None


def take(path: Path | str, version: str) -> None:
    """Load the shared object at `path` in this process, not the one in use. Said before anything is called."""
    global _told
    _told = Library(libraries.PREBUILT, Path(path), version)
    library.cache_clear()


def chosen() -> Library:
    """What is loaded, or will be. Raises LibraryMissing."""
    return _told or libraries.in_use()


@functools.cache
def library() -> ctypes.CDLL:
    """The loaded shared object. Raises LibraryMissing."""
    path = chosen().path
    try:
        with spin.bound():
            return ctypes.CDLL(str(path))
    except OSError as error:
        raise LibraryMissing(detail=str(error)) from error


def function(name: str, result: Any, *arguments: Any) -> Any:
    """The C function `name` with the prototype given as ctypes. Raises LibraryMissing where the library has none."""
    loaded = library()
    try:
        found = loaded[name]  # a new object each time: one user's prototype is not another's
    except AttributeError as error:
        raise LibraryMissing(detail=str(error)) from error
    found.restype, found.argtypes = result, arguments
    return found


def has(name: str) -> bool:
    """Whether the library has a function `name`. Raises LibraryMissing."""
    return hasattr(library(), name)


def library_version() -> str:
    """Which library that is: the wheel's version, or what a native one was compiled from and its name; empty where
    there is none."""
    try:
        return chosen().version
    except LibraryMissing:
        return ""
