"""The shared object inside the xllamacpp wheel, for what its Python module does not offer: no compiler, no torch.

Functions are called by ctypes with the prototypes of ggml.h, ggml-alloc.h and ggml-backend.h. The calls release the
GIL.

Does not know: what is called, which models there are.
"""

from __future__ import annotations

import ctypes
import functools
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from penjing.errors import MachineError
from penjing.native import spin

PACKAGE = "xllamacpp"
SUFFIXES = {".so", ".pyd", ".dylib"}


class LibraryMissing(MachineError):
    """Facts: `detail`."""

    template = "The library inside xllamacpp cannot be used: {detail}"
    hint = "Install it again: pip install --force-reinstall xllamacpp"
    code = "library_missing"


@functools.cache
def library() -> ctypes.CDLL:
    """The loaded shared object. Raises LibraryMissing."""
    spec = find_spec(PACKAGE)
    folders = [Path(name) for name in (spec.submodule_search_locations or ())] if spec else []
    found = [path for folder in folders for path in sorted(folder.iterdir()) if path.suffix in SUFFIXES]
    if not found:
        raise LibraryMissing(detail="xllamacpp is not installed")
    spin.bound()
    try:
        return ctypes.CDLL(str(found[0]))
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


def library_version() -> str:
    """The version of the wheel; empty where it is not installed."""
    try:
        return version(PACKAGE)
    except PackageNotFoundError:
        return ""
