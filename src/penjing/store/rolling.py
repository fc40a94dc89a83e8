"""Content-defined cutting: where bytes are inserted or removed, the chunks before and soon after stay what they were.

Gear hash with normalised sizes, as in Xia et al., "FastCDC" (USENIX ATC 2016): a cut is where the hash of the last 32
bytes has zeros at chosen bits, more of them before the average size than after it. The hash of all places at once is
`log2(32)` shifted additions in numpy.

Does not know: files, formats.
"""

from __future__ import annotations

import functools
import hashlib
from bisect import bisect_left
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

WINDOW = 32
"""Bytes that decide about a cut: a u32 shifted left 32 times has forgotten the rest."""
PIECE = 1 << 16
"""Bytes hashed at a time: the numbers stay in a processor's own cache."""


@dataclass(frozen=True)
class Sizes:
    """Bytes of a chunk; `average` is a power of two."""

    least: int
    average: int
    most: int


FINE = Sizes(2 << 10, 8 << 10, 32 << 10)
"""For headers."""
COARSE = Sizes(16 << 10, 64 << 10, 256 << 10)
"""For files of no known format."""


def lengths(blocks: Iterable[bytes], sizes: Sizes) -> Iterator[int]:
    """Cut the bytes of `blocks`, one after the other, and give the length of each chunk. Memory: a few blocks."""
    hashing = Hashing(sizes.average)
    begin = seen = 0
    places: list[int] = []  # where one may cut, counted from the start of everything
    hard: list[int] = []  # where even small chunks may end
    for block in blocks:
        for at in range(0, len(block), PIECE):
            piece = block[at : at + PIECE]
            found, of_these = hashing.places(piece)
            places += [seen + place for place in found]
            hard += [seen + place for place in of_these]
            seen += len(piece)
        while seen - begin > sizes.most:
            end = _end(begin, places, hard, sizes)
            yield end - begin
            begin = end
            del places[: bisect_left(places, begin)], hard[: bisect_left(hard, begin)]
    while begin < seen:
        end = min(_end(begin, places, hard, sizes), seen)
        yield end - begin
        begin = end


def _end(begin: int, places: list[int], hard: list[int], sizes: Sizes) -> int:
    """Where the chunk that begins at `begin` ends, as if bytes went on for ever."""
    at = bisect_left(hard, begin + sizes.least)
    if at < len(hard) and hard[at] < begin + sizes.average:
        return hard[at]
    at = bisect_left(places, begin + sizes.average)
    return min(places[at] if at < len(places) else begin + sizes.most, begin + sizes.most)


class Hashing:
    """The hash at every place of a stream of bytes. It is below a limit, its top bits zero, where one may cut: two bits
    fewer than chunks of the `average` size need, or two more."""

    def __init__(self, average: int) -> None:
        import numpy as np

        bits = average.bit_length() - 1
        self._loose, self._strict = 1 << (WINDOW - bits + 2), 1 << (WINDOW - bits - 2)
        self._hashes = np.empty(PIECE + WINDOW, np.uint32)
        self._shifted = np.empty(PIECE + WINDOW, np.uint32)
        self._tail = b""

    def places(self, piece: bytes) -> tuple[list[int], list[int]]:
        """Lengths of `piece` after which one may cut, by the loose limit and by the strict one."""
        import numpy as np

        whole = np.frombuffer(self._tail + piece, np.uint8)
        skip, size = len(self._tail), len(whole)
        hashes = np.take(gear(), whole, out=self._hashes[:size], mode="clip")
        step = 1
        while step < min(WINDOW, size):
            shifted = np.left_shift(hashes[:-step], np.uint32(step), out=self._shifted[step:size])
            np.add(hashes[step:], shifted, out=hashes[step:])
            step *= 2
        self._tail = (self._tail + piece[1 - WINDOW :])[1 - WINDOW :]
        at = np.flatnonzero(hashes[skip:] < self._loose)
        few = at[hashes[skip:][at] < self._strict]
        return (at + 1).tolist(), (few + 1).tolist()


@functools.cache
def gear() -> np.ndarray[Any, np.dtype[np.uint32]]:
    """One random u32 for each byte value, the same for ever: the first four bytes of its SHA-256."""
    import numpy as np

    numbers = [int.from_bytes(hashlib.sha256(bytes([byte])).digest()[:4], "little") for byte in range(256)]
    return np.array(numbers, np.uint32)
