"""Where a long list of texts in a GGUF header ends, without reading the list.

A vocabulary is megabytes of texts, each after its length, and the tensors' descriptions come after it. So samples are
taken: within the list a sample is a chain of lengths and texts, after it (numbers, keys, descriptions) it is not. The
end is bracketed by samples, asked for several at a time, and found exactly where the chain turns into an entry of the
header. A wrong guess cannot pass in silence: everything read afterwards is checked against the file's size.

Format: github.com/ggml-org/ggml/blob/master/docs/gguf.md.

Does not know: where the samples come from.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Sequence

SAMPLE = 4096
"""Bytes of one sample."""
LONGEST = 1024
"""Bytes of the longest text a chain may hold; longer ones are rare enough to miss a sample in a list of many."""
LINKS = 8
"""Texts in a row that make a chain; fewer occur by chance among numbers."""
OUTWARD = 12
"""Samples of the first round."""
STEP = 1.5
"""Bytes a text between samples of the first round, so that a list with a number (4 bytes) a text is not missed."""
ROUND = 8
NEAR = 3 * SAMPLE
"""When the bracket is this narrow it is read whole."""
LENGTH = struct.Struct("<Q")
NUMBER = struct.Struct("<I")
KEY = re.compile(rb"[a-z0-9_-]+(\.[a-z0-9_-]+)+")
TENSOR = re.compile(rb"[\x21-\x7e]{1,1024}")
TYPES = 13
MOST_DIMENSIONS = 4

Read = Callable[[Sequence[tuple[int, int]]], list[bytes]]
"""Reads several `(offset, length)` at once; fewer bytes where the file ends."""


def end_of_texts(read: Read, at: int, count: int, size: int) -> int | None:
    """Where the list of `count` texts that begins at `at` ends, in a file of `size` bytes; None where it cannot be
    told."""
    bracket = _outward(read, at, count, size)
    if bracket is None:
        return None
    low, high = bracket
    while high - low > NEAR:
        step = (high - low) // (ROUND + 1)
        points = [low + step * number for number in range(1, ROUND + 1)]
        low, high = _narrowed(low, high, points, read([(point, SAMPLE) for point in points]))
    (block,) = read([(low, high - low + 2 * SAMPLE)])
    found = _end_within(block)
    return None if found is None else low + found


def _outward(read: Read, at: int, count: int, size: int) -> tuple[int, int] | None:
    """The last point known to be in the list and the first known to be after it. Texts have one byte at least."""
    low, spacing = at, max(int(count * STEP), SAMPLE)
    first = at + count * LENGTH.size
    while first < size:
        points = [point for number in range(OUTWARD) if (point := first + spacing * number) < size]
        low, high = _narrowed(low, -1, points, read([(point, SAMPLE) for point in points]))
        if high >= 0:
            return low, high
        first = points[-1] + spacing
        spacing *= 2
    return (low, size) if low > at else None


def _narrowed(low: int, high: int, points: list[int], samples: list[bytes]) -> tuple[int, int]:
    for point, sample in zip(points, samples, strict=True):
        if not chained(sample):
            return low, point
        low = point
    return low, high


def chained(sample: bytes) -> bool:
    """Whether `sample` begins within a list of texts."""
    return _first_link(sample) is not None


def _first_link(sample: bytes) -> int | None:
    """Where the first text of a chain begins."""
    for start in range(min(len(sample), LONGEST + LENGTH.size)):
        at, links = start, 0
        while at + LENGTH.size <= len(sample):
            length = LENGTH.unpack_from(sample, at)[0]
            if length > LONGEST:
                break
            links += length > 0
            at += LENGTH.size + length
            if links >= LINKS:
                return start
    return None


def _end_within(block: bytes) -> int | None:
    """The last link of the chain at which an entry of the header begins."""
    at = _first_link(block)
    found = None
    while at is not None and at + LENGTH.size <= len(block):
        if _entry(block, at):
            found = at
        length = LENGTH.unpack_from(block, at)[0]
        if length > LONGEST:
            break
        at += LENGTH.size + length
    return found


def _entry(block: bytes, at: int) -> bool:
    """Whether a metadata entry or a tensor's description can begin at `at`."""
    length: int = LENGTH.unpack_from(block, at)[0]
    name, then = block[at + 8 : at + 8 + length], at + 8 + length
    if not 0 < length <= LONGEST or then + 16 > len(block):
        return False
    number: int = NUMBER.unpack_from(block, then)[0]
    if KEY.fullmatch(name) and number < TYPES:
        return number != 9 or bool(NUMBER.unpack_from(block, then + 4)[0] < TYPES)  # 9: a list, its own type follows
    return bool(TENSOR.fullmatch(name)) and 1 <= number <= MOST_DIMENSIONS and _described(block, then + 4, number)


def _described(block: bytes, at: int, dimensions: int) -> bool:
    """Whether sizes, a small type and an offset follow, as in a tensor's description."""
    if at + dimensions * 8 + 12 > len(block):
        return False
    sizes = [LENGTH.unpack_from(block, at + 8 * number)[0] for number in range(dimensions)]
    kind = NUMBER.unpack_from(block, at + 8 * dimensions)[0]
    return all(0 < size < 1 << 32 for size in sizes) and kind < 256
