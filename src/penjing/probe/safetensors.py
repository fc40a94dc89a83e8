"""The header of one safetensors file.

Format: github.com/huggingface/safetensors, "Format": a little-endian u64 length, that many bytes of JSON, the data.

Does not know: config.json, files in several shards.
"""

from __future__ import annotations

import math
from pathlib import Path

import msgspec

from penjing.probe.faults import Truncated, UnknownTensorType
from penjing.probe.tensor import Tensor
from penjing.probe.view import View, viewing

LONGEST_HEADER = 100_000_000  # the format's own limit
MOST_DIMENSIONS = 16
# Bits per number by the format's spelling (safetensors/src/tensor.rs, enum Dtype).
BITS = {
    "BOOL": 8, "U8": 8, "I8": 8, "F8_E5M2": 8, "F8_E4M3": 8, "F8_E8M0": 8, "F8_E4M3FNUZ": 8, "F8_E5M2FNUZ": 8,
    "F4": 4, "F6_E2M3": 6, "F6_E3M2": 6, "I16": 16, "U16": 16, "F16": 16, "BF16": 16,
    "I32": 32, "U32": 32, "F32": 32, "I64": 64, "U64": 64, "F64": 64, "C64": 64,
}  # fmt: skip


class Entry(msgspec.Struct, frozen=True):
    """One tensor in the JSON header. Offsets count from the end of the header."""

    dtype: str
    shape: list[int]
    data_offsets: tuple[int, int]


def read(path: Path) -> tuple[Tensor, ...]:
    """The tensors of `path` in the order of their data. Raises ModelCorrupt, ModelUnsupported, ModelNotFound."""
    with viewing(path) as view:
        return parse(view)


def parse(view: View) -> tuple[Tensor, ...]:
    """As `read`, of a view whose cursor stands at the file's beginning."""
    header = view.raw(header_length(view), "the header")
    tensors = [_tensor(view, name, entry) for name, entry in _entries(view, header).items()]
    tensors.sort(key=lambda tensor: (tensor.offset, tensor.bytes))
    _bounds(view, tensors)
    return tuple(tensors)


def header_length(view: View) -> int:
    """Bytes of the JSON that follows; leaves the cursor before it."""
    length = int(view.number("Q", "the header's length"))
    if not 2 <= length <= LONGEST_HEADER:
        view.refuse("the header's length", length, f"2 ... {LONGEST_HEADER}")
    return length


def _entries(view: View, header: bytes) -> dict[str, Entry]:
    try:
        pages = msgspec.json.decode(header, type=dict[str, msgspec.Raw])
        pages.pop("__metadata__", None)
        return {name: msgspec.json.decode(page, type=Entry) for name, page in pages.items()}
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        view.refuse("the JSON header", repr(header[:20]), str(error))
        raise


def _tensor(view: View, name: str, entry: Entry) -> Tensor:
    if entry.dtype not in BITS:
        raise UnknownTensorType(path=str(view.path), tensor=name, type=entry.dtype)
    begin, end = entry.data_offsets
    if len(entry.shape) > MOST_DIMENSIONS or any(size < 0 for size in entry.shape):
        view.refuse("the shape", entry.shape, f"<= {MOST_DIMENSIONS} x >= 0", name)
    wanted = math.prod(entry.shape) * BITS[entry.dtype]
    if not 0 <= begin <= end or (end - begin) * 8 != wanted:
        view.refuse("the size", end - begin, f"== {wanted // 8}", name)
    return Tensor(name, tuple(entry.shape), entry.dtype, view.at + begin, end - begin, view.path.name)


def _bounds(view: View, ordered: list[Tensor]) -> None:
    """The format allows neither overlaps nor holes nor bytes after the last tensor."""
    end = view.at
    for tensor in ordered:
        if tensor.offset != end:
            view.refuse("the offset", tensor.offset, f"== {end}", tensor.name)
        end = tensor.offset + tensor.bytes
    if end > view.size:
        cut = next(tensor for tensor in ordered if tensor.offset + tensor.bytes > view.size)
        missing = end - view.size
        raise Truncated(path=str(view.path), size=view.size, wanted=end, missing=missing, name=cut.name)
    if end < view.size:
        view.refuse("the file's size", view.size, f"== {end}")
