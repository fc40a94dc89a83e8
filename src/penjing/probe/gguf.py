"""The header of one GGUF file (versions 2 and 3, little-endian).

Format: github.com/ggml-org/ggml/blob/master/docs/gguf.md. Read without `gguf` because that library trusts the file's
counts, and because a probe must not cost an import of numpy.

Does not know: what the metadata mean; files in several shards.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from penjing.probe.faults import Truncated, UnknownFormatVersion, UnknownTensorType, WrongByteOrder
from penjing.probe.ggml import TYPES
from penjing.probe.tensor import Tensor
from penjing.probe.view import View, viewing

MAGIC = b"GGUF"
VERSIONS = (2, 3)
SCALARS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
WIDTHS = {"B": 1, "b": 1, "?": 1, "H": 2, "h": 2, "I": 4, "i": 4, "f": 4, "Q": 8, "q": 8, "d": 8}
STRING, ARRAY = 8, 9
DEFAULT_ALIGNMENT = 32
# Limits far beyond any real model; they keep a hostile file from costing more than a moment.
MOST_KEYS = 1 << 16
MOST_TENSORS = 1 << 18
MOST_STRINGS = 1 << 24
MOST_NUMBERS = 1 << 30
MOST_DIMENSIONS = 4
LONGEST_KEY = (1 << 16) - 1
LONGEST_NAME = 1 << 10
LONGEST_TEXT = 1 << 26
LONGEST_KEPT_ARRAY = 1 << 10


@dataclass(frozen=True)
class Header:
    """`metadata`: scalars, strings and short numeric arrays (as tuples). `lengths`: how many items each array has.
    `spans`: where each metadata entry, key included, begins and ends in the file."""

    metadata: dict[str, object] = field(default_factory=dict)
    lengths: dict[str, int] = field(default_factory=dict)
    spans: dict[str, tuple[int, int]] = field(default_factory=dict)
    tensors: tuple[Tensor, ...] = ()


def read(path: Path) -> Header:
    """Read and check the header of `path`. Raises ModelCorrupt, ModelUnsupported, ModelNotFound."""
    with viewing(path) as view:
        return parse(view)


def parse(view: View) -> Header:
    """As `read`, of a view whose cursor stands at the file's beginning."""
    view.raw(len(MAGIC), "the magic")
    _require_version(view)
    tensor_count = view.count("Q", "the number of tensors", MOST_TENSORS, 24)
    key_count = view.count("Q", "the number of metadata entries", MOST_KEYS, 12)
    metadata: dict[str, object] = {}
    lengths: dict[str, int] = {}
    spans: dict[str, tuple[int, int]] = {}
    for _ in range(key_count):
        begin = view.at
        key = _text(view, "", LONGEST_KEY)
        if key in spans:
            view.refuse("a metadata key", repr(key), "each occurs once")
        _value(view, key, metadata, lengths)
        spans[key] = (begin, view.at)
    infos = [_info(view) for _ in range(tensor_count)]
    alignment = _alignment(view, metadata)
    data = -(-view.at // alignment) * alignment
    tensors = _place(view, infos, data, alignment)
    return Header(metadata, lengths, spans, tensors)


def _require_version(view: View) -> None:
    version = int(view.number("I", "the version"))
    if version in VERSIONS:
        return
    if version and version & 0xFFFF == 0:  # 3 written big-endian reads as 3 << 24
        raise WrongByteOrder(path=str(view.path), order="big")
    raise UnknownFormatVersion(path=str(view.path), version=version)


def _text(view: View, name: str, most: int) -> str:
    length = view.count("Q", "the length of a text", most, name=name)
    return view.raw(length, "a text", name).decode("utf-8", "replace")


def _value(view: View, key: str, metadata: dict[str, object], lengths: dict[str, int]) -> None:
    kind = int(view.number("I", "the type of an entry", key))
    if kind == STRING:
        metadata[key] = _text(view, key, LONGEST_TEXT)
    elif kind == ARRAY:
        _array(view, key, metadata, lengths)
    elif kind in SCALARS:
        metadata[key] = view.number(SCALARS[kind], "a number", key)
    else:
        view.refuse("the type of an entry", kind, "<= 12", key)


def _array(view: View, key: str, metadata: dict[str, object], lengths: dict[str, int]) -> None:
    kind = int(view.number("I", "the type of a list", key))
    if kind == STRING:
        lengths[key] = view.count("Q", "the length of a list", MOST_STRINGS, 8, key)
        view.skip_texts(lengths[key], key, LONGEST_TEXT)
    elif kind in SCALARS:
        width = WIDTHS[SCALARS[kind]]
        lengths[key] = view.count("Q", "the length of a list", MOST_NUMBERS, width, key)
        if lengths[key] <= LONGEST_KEPT_ARRAY:
            metadata[key] = tuple(view.number(SCALARS[kind], "a list", key) for _ in range(lengths[key]))
        else:
            view.at += lengths[key] * width
    else:
        view.refuse("the type of a list", kind, "a number or text type", key)


def _alignment(view: View, metadata: dict[str, object]) -> int:
    alignment = metadata.get("general.alignment", DEFAULT_ALIGNMENT)
    if not isinstance(alignment, int) or alignment <= 0 or alignment & (alignment - 1) or alignment > view.size:
        view.refuse("the alignment", alignment, "a power of two")
    return int(alignment)  # type: ignore[call-overload, no-any-return]


def _info(view: View) -> tuple[str, tuple[int, ...], int, int]:
    name = _text(view, "", LONGEST_NAME)
    dimensions = view.count("I", "the number of dimensions", MOST_DIMENSIONS, name=name)
    shape = tuple(int(view.number("Q", "the shape", name)) for _ in range(dimensions))
    kind = int(view.number("I", "the type of a tensor", name))
    offset = int(view.number("Q", "the offset", name))
    return name, shape[::-1], kind, offset


def _place(
    view: View, infos: list[tuple[str, tuple[int, ...], int, int]], data: int, alignment: int
) -> tuple[Tensor, ...]:
    """Check every tensor's place against the file and against its neighbours."""
    tensors = []
    for name, shape, kind, offset in infos:
        if kind not in TYPES:
            raise UnknownTensorType(path=str(view.path), tensor=name, type=kind)
        label, block, width = TYPES[kind]
        row = shape[-1] if shape else 1
        if row % block:
            view.refuse("the row length", row, f"{label}: % {block} == 0", name)
        if offset % alignment:
            view.refuse("the offset", offset, f"% {alignment} == 0", name)
        tensor = Tensor(name, shape, label, data + offset, 0, view.path.name)
        tensors.append(Tensor(name, shape, label, data + offset, tensor.elements // block * width, view.path.name))
    if len({tensor.name for tensor in tensors}) < len(tensors):
        view.refuse("the number of different tensors", len({tensor.name for tensor in tensors}), f"== {len(tensors)}")
    _bounds(view, sorted(tensors, key=lambda tensor: tensor.offset))
    return tuple(tensors)


def _bounds(view: View, ordered: list[Tensor]) -> None:
    end = 0
    for tensor in ordered:
        if tensor.offset < end:
            view.refuse("the offset", tensor.offset, f">= {end}", tensor.name)
        end = tensor.offset + tensor.bytes
    if end > view.size:
        cut = next(tensor for tensor in ordered if tensor.offset + tensor.bytes > view.size)
        missing = end - view.size
        raise Truncated(path=str(view.path), size=view.size, wanted=end, missing=missing, name=cut.name)
