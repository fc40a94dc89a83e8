"""Where a file is cut, by its format.

A GGUF or safetensors file is cut at its tensors, each tensor in pieces counted from its own beginning: a longer header
moves every tensor in the file and none of its chunks. The header is cut small, and at its large entries (the chat
template, the vocabulary): who changes one moves only that. Any other file, or one whose header cannot be read, is cut
by content (`rolling`).

Does not know: hashes, the store.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import BinaryIO, NamedTuple

from penjing.errors import ModelError
from penjing.probe import gguf, safetensors
from penjing.probe.looks import look
from penjing.probe.tensor import Tensor
from penjing.store.rolling import COARSE, FINE, Sizes, lengths

PIECE = 4 << 20
"""Bytes of the pieces inside a tensor. A tensor of experts is cut at each expert first."""
LEAST_SLICE = 64 << 10
"""Experts smaller than this are not told apart."""
LARGE_ENTRY = 4 << 10
"""Bytes of an entry in a header that begins and ends a chunk of its own."""
READ = 1 << 20


class Region(NamedTuple):
    """Bytes `begin` to `end`: cut by content in `sizes`, or (None) every `PIECE` bytes from each multiple of `unit`."""

    begin: int
    end: int
    sizes: Sizes | None
    unit: int = 0


def cut(path: Path) -> list[int]:
    """Lengths of the chunks of `path`, in order; their sum is the file's size, and an empty file has none."""
    size = path.stat().st_size
    found: list[int] = []
    with path.open("rb") as stream:
        for region in regions(path, size):
            if region.sizes is None:
                found += _pieces(region)
            else:
                found += lengths(_blocks(stream, region), region.sizes)
    return found


def regions(path: Path, size: int) -> list[Region]:
    """The parts of `path`, which has `size` bytes, that are cut each by itself."""
    if not size:
        return []
    marks: list[int] = []
    try:
        kind = look(path)
        if kind == "gguf":
            header = gguf.read(path)
            tensors = header.tensors
            large = [span for span in header.spans.values() if span[1] - span[0] >= LARGE_ENTRY]
            marks = [mark for span in large for mark in span]
            marks += [max((end for _, end in header.spans.values()), default=0)]  # here begins the list of tensors
        else:
            tensors = safetensors.read(path)
    except ModelError:  # no model, or a damaged one: bytes like any others
        return [Region(0, size, COARSE)]
    ordered = sorted((tensor for tensor in tensors if tensor.bytes), key=lambda tensor: tensor.offset)
    start = ordered[0].offset if ordered else size
    edges = sorted({0, start, *(mark for mark in marks if 0 < mark < start)})
    return [
        *(Region(begin, end, FINE) for begin, end in pairwise(edges)),
        *_of_tensors(ordered, size),
    ]


def _of_tensors(ordered: list[Tensor], size: int) -> Iterator[Region]:
    """A tensor takes the padding behind it."""
    ends = [*(each.offset for each in ordered), size][1:]
    for tensor, after in zip(ordered, ends, strict=True):
        experts = tensor.shape[0] if len(tensor.shape) > 2 else 1
        unit = tensor.bytes // experts if experts and tensor.bytes % experts == 0 else tensor.bytes
        yield Region(tensor.offset, after, None, unit if unit >= LEAST_SLICE else tensor.bytes)


def _pieces(region: Region) -> Iterator[int]:
    """What is left after whole pieces is cut at powers of two: words appended to a vocabulary change its last bytes."""
    at = region.begin
    while at < region.end:
        within = (at - region.begin) % region.unit
        left = region.unit - within
        end = at + min(PIECE, left)
        if within >= PIECE > left >= 2 * LEAST_SLICE:
            end = at + (1 << (left.bit_length() - 1))
        if region.end - end < LEAST_SLICE // 16:  # padding, or the last few bytes: no chunk of their own
            end = region.end
        yield end - at
        at = end


def _blocks(stream: BinaryIO, region: Region) -> Iterator[bytes]:
    stream.seek(region.begin)
    left = region.end - region.begin
    while left and (block := stream.read(min(READ, left))):
        left -= len(block)
        yield block
