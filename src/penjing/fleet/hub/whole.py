"""A version's file as one stretch of bytes, put together from chunks while it is sent.

Does not know: HTTP.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from itertools import accumulate

from penjing.fleet.faults import NothingPublished
from penjing.fleet.hub.blobs import Blobs
from penjing.store.index import Chunk, Index


class Whole:
    """The file `path` of the version that `index` describes. Raises NothingPublished."""

    def __init__(self, index: Index, path: str, blobs: Blobs) -> None:
        found = next((chunks for layout, chunks in index.cuts.per_file() if layout.path == path), None)
        if found is None:
            raise NothingPublished(hub="This hub", model=f"{index.name}/{path}")
        self._blobs = blobs
        self._chunks: list[Chunk] = found
        self._starts = [0, *accumulate(chunk.bytes for chunk in found)]

    @property
    def size(self) -> int:
        """In bytes."""
        return self._starts[-1]

    def read(self, start: int, stop: int) -> Iterator[bytes]:
        """From a byte to before another, a chunk at a time."""
        at = bisect_right(self._starts, start) - 1
        while start < stop:
            first = self._starts[at]
            end = min(self._starts[at + 1], stop)
            yield self._blobs.read(self._chunks[at].name, start - first, end - first)
            start, at = end, at + 1
