"""What calibration has added up so far is kept while it lasts, so that a run that was killed goes on where it was.

    PENJING_HOME/cache/quantize/NAME-KEY.npz    sums, counts and products of each matrix, of how many windows

Does not know: what is added up, or why.
"""

from __future__ import annotations

import hashlib
import re
import time
import zipfile
from collections.abc import Mapping
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray

import penjing
from penjing.files import home, writing
from penjing.native.library import library_version
from penjing.probe import single
from penjing.shrink.quantize.importance import Columns
from penjing.shrink.quantize.notes import LONGEST_NAME

EVERY = 30.0
"""Seconds from one time that it is kept to the next: short calibrations never are."""
PAGE = "page"
PARTS = ("sums", "counts", "products")


class Page(msgspec.Struct):
    """`done` windows; `names` of matrices in their order in the file; `same` as `collect.Watch.same`."""

    done: int
    names: list[str]
    same: dict[str, str]


class Sums:
    """Of the model at `source` on `windows` of tokens, with or without products of columns."""

    def __init__(self, source: Path, windows: NDArray[np.int32], products: bool) -> None:
        model = single.read(source)
        facts = [(path.name, path.stat().st_size, path.stat().st_mtime_ns) for path in model.files]
        read = hashlib.sha256(np.ascontiguousarray(windows).tobytes()).hexdigest()
        known = [penjing.__version__, library_version(), str(source.resolve()), facts, read, list(windows.shape)]
        key = hashlib.sha256(msgspec.json.encode([*known, products])).hexdigest()[:16]
        name = re.sub(r"[^\w.]+", "_", source.stem)[:LONGEST_NAME]
        self.path: Path = home() / "cache" / "quantize" / f"{name}-{key}.npz"
        self._last = time.monotonic()

    def read(self) -> tuple[Page, dict[str, Columns]]:
        """What an earlier run kept; nothing where there is none that can be read."""
        try:
            with self.path.open("rb") as stream, np.load(stream, allow_pickle=False) as file:
                page = msgspec.json.decode(file[PAGE].tobytes(), type=Page)
                found = {name: _columns(file, at) for at, name in enumerate(page.names)}
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, msgspec.DecodeError):
            return Page(0, [], {}), {}
        return page, found

    def keep(self, done: int, found: Mapping[str, Columns], same: Mapping[str, str], *, now: bool = False) -> None:
        """Keep it where EVERY seconds went by since the last time, or `now` where that was done before. Raises
        DiskFull."""
        due = time.monotonic() - self._last >= EVERY
        if not due and not (now and self.path.is_file()):
            return
        arrays = {PAGE: np.frombuffer(msgspec.json.encode(Page(done, list(found), dict(same))), np.uint8)}
        for at, each in enumerate(found.values()):
            arrays |= {f"{at}.{part}": value for part in PARTS if (value := getattr(each, part)) is not None}
        with writing(self.path) as stream:
            np.savez(stream, **arrays)  # type: ignore[arg-type]  # its stub takes the arrays for its own options
        self._last = time.monotonic()

    def forget(self) -> None:
        """What was made of it is there."""
        self.path.unlink(missing_ok=True)


def _columns(file: Mapping[str, NDArray[np.float32]], at: int) -> Columns:
    return Columns(file[f"{at}.sums"], file[f"{at}.counts"], file.get(f"{at}.products"))
