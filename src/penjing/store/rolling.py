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
PIECE = 1 << 17
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
    loose, strict = _masks(sizes.average)
    begin = seen = 0
    tail = b""
    places: list[int] = []  # where the loose mask fits, counted from the start of everything
    hard: list[int] = []  # where the strict one does
    for block in blocks:
        for at in range(0, len(block), PIECE):
            piece = block[at : at + PIECE]
            found, of_these = _candidates(tail + piece, len(tail), seen, loose, strict)
            places += found
            hard += of_these
            seen += len(piece)
            tail = (tail + piece)[1 - WINDOW :]
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


def _candidates(piece: bytes, skip: int, start: int, loose: int, strict: int) -> tuple[list[int], list[int]]:
    """Places after which to cut in `piece`, whose first `skip` bytes were seen before byte `start`."""
    import numpy as np

    hashes = gear()[np.frombuffer(piece, np.uint8)]
    step = 1
    while step < WINDOW:
        hashes[step:] += hashes[:-step] << np.uint32(step)
        step *= 2
    at = np.flatnonzero((hashes & np.uint32(loose)) == 0)
    at = at[at >= skip]
    few = at[(hashes[at] & np.uint32(strict)) == 0]
    shift = start - skip + 1
    return (at + shift).tolist(), (few + shift).tolist()


@functools.cache
def gear() -> np.ndarray[Any, np.dtype[np.uint32]]:
    """One random u32 for each byte value, the same for ever: the first four bytes of its SHA-256."""
    import numpy as np

    numbers = [int.from_bytes(hashlib.sha256(bytes([byte])).digest()[:4], "little") for byte in range(256)]
    return np.array(numbers, np.uint32)


def _masks(average: int) -> tuple[int, int]:
    """Two bits fewer and two more than the average needs, from the top, where a bit depends on most bytes."""
    bits = average.bit_length() - 1
    return tuple(((1 << wide) - 1) << (WINDOW - wide) for wide in (bits - 2, bits + 2))  # type: ignore[return-value]  # two in, two out
