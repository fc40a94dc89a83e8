"""A GGUF file written as a stream: the header at once, then tensor by tensor.

Format: github.com/ggml-org/ggml/blob/master/docs/gguf.md, version 3. Written here because `gguf`'s writer opens the
final path itself and wants whole tensors in memory.

Does not know: what the metadata mean, how numbers are quantized.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import BinaryIO

from penjing.probe.ggml import NUMBERS, row_bytes

ALIGNMENT = 32
VERSION = 3
UINT32, INT32, FLOAT32, BOOL, STRING, ARRAY = 4, 5, 6, 7, 8, 9

Value = str | bool | int | float | Sequence[str] | Sequence[bytes] | Sequence[int] | Sequence[float] | Sequence[bool]


@dataclass(frozen=True)
class Info:
    """One tensor to come: `shape` in numpy's order, `type` one of ggml's names."""

    name: str
    shape: tuple[int, ...]
    type: str

    @property
    def rows(self) -> int:
        """How many rows of `shape[-1]` numbers it has."""
        return math.prod(self.shape[:-1])

    @property
    def bytes(self) -> int:
        """Its size in the file, without padding."""
        return self.rows * row_bytes(self.type, self.shape[-1])


def pack(metadata: Mapping[str, Value]) -> list[bytes]:
    """Each entry of `metadata` as the file holds it: str, bool, int (u32), float (f32) and arrays of these (i32)."""
    return [_text(key.encode()) + _entry(value) for key, value in metadata.items()]


def _text(content: bytes) -> bytes:
    return struct.pack("<Q", len(content)) + content


def _entry(value: Value) -> bytes:
    if isinstance(value, str):
        return struct.pack("<I", STRING) + _text(value.encode())
    if isinstance(value, bool):
        return struct.pack("<I?", BOOL, value)
    if isinstance(value, int):
        return struct.pack("<II", UINT32, value)
    if isinstance(value, float):
        return struct.pack("<If", FLOAT32, value)
    return _array(list(value))


def _array(items: list[object]) -> bytes:
    first = items[0] if items else 0
    if isinstance(first, (str, bytes)):
        texts = [item.encode() if isinstance(item, str) else bytes(item) for item in items]  # type: ignore[call-overload]
        return struct.pack("<IIQ", ARRAY, STRING, len(items)) + b"".join(map(_text, texts))
    kind, code = (BOOL, "?") if isinstance(first, bool) else (INT32, "i") if isinstance(first, int) else (FLOAT32, "f")
    return struct.pack("<IIQ", ARRAY, kind, len(items)) + struct.pack(f"<{len(items)}{code}", *items)


def padded(size: int) -> int:
    """`size` rounded up to the alignment."""
    return -(-size // ALIGNMENT) * ALIGNMENT


class Container:
    """The header is written by the constructor; `put` then takes the bytes of the tensors in their order."""

    def __init__(self, stream: BinaryIO, metadata: Sequence[bytes], infos: Sequence[Info]) -> None:
        self.stream = stream
        self.infos = infos
        self.types_at: dict[str, int] = {}
        header = bytearray(b"GGUF" + struct.pack("<IQQ", VERSION, len(infos), len(metadata)) + b"".join(metadata))
        offset = 0
        for info in infos:
            header += _text(info.name.encode()) + struct.pack("<I", len(info.shape))
            header += struct.pack(f"<{len(info.shape)}Q", *reversed(info.shape))
            self.types_at[info.name] = len(header)
            header += struct.pack("<IQ", NUMBERS[info.type], offset)
            offset += padded(info.bytes)
        header += bytes(padded(len(header)) - len(header))
        stream.write(header)

    def begin(self) -> int:
        """Where the next tensor's data begin in the file."""
        return self.stream.tell()

    def put(self, content: bytes | memoryview) -> None:
        """More bytes of the current tensor."""
        self.stream.write(content)

    def end(self) -> None:
        """The current tensor is whole: pad it."""
        at = self.stream.tell()
        self.stream.write(bytes(padded(at) - at))

    def restart(self, info: Info, begin: int, kind: str) -> None:
        """Drop what was written of `info` since `begin` and make it a `kind` of the same size."""
        self.stream.seek(self.types_at[info.name])
        self.stream.write(struct.pack("<I", NUMBERS[kind]))
        self.stream.seek(begin)


def size(metadata: Sequence[bytes], infos: Sequence[Info]) -> int:
    """Bytes of the file that these would make."""
    names = sum(8 + len(info.name.encode()) + 4 + 8 * len(info.shape) + 12 for info in infos)
    header = 24 + sum(map(len, metadata)) + names
    return padded(header) + sum(padded(info.bytes) for info in infos)
