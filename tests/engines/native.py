"""A library that was compiled here, for tests of what only such a one does; they are skipped where there is none."""

from __future__ import annotations

import pytest

from penjing.native import libraries
from penjing.native.libraries import Library

FITTING = tuple(each for each in libraries.natives() if each.fits)
"""Looked up before tests get homes of their own."""
needs_native = pytest.mark.skipif(not FITTING, reason="needs a native library: penjing engine build")


def compiled() -> Library:
    """The newest one; for tests marked `needs_native`."""
    return FITTING[0]
