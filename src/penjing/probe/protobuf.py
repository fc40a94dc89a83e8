"""The fields of a protobuf message, and messages made of fields.

Wire format: protobuf.dev/programming-guides/encoding. So little of it is needed (`tokenizer.model`) that the light
install does without the library.

Does not know: what any message means.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5
LONGEST_VARINT = 10


@dataclass(frozen=True)
class Field:
    """One field of a message: its number and its value (int for a varint, bytes otherwise)."""

    number: int
    value: int | bytes


class Broken(Exception):
    """The bytes are no protobuf message."""


def fields(message: bytes) -> Iterator[Field]:
    """The fields of a message in order. Raises Broken."""
    at = 0
    while at < len(message):
        tag, at = _varint(message, at)
        wire = tag & 7
        if wire == VARINT:
            value, at = _varint(message, at)
            yield Field(tag >> 3, value)
            continue
        if wire == BYTES:
            length, at = _varint(message, at)
        elif wire in (FIXED32, FIXED64):
            length = 4 if wire == FIXED32 else 8
        else:
            raise Broken
        if length > len(message) - at:
            raise Broken
        yield Field(tag >> 3, message[at : at + length])
        at += length


def _varint(message: bytes, at: int) -> tuple[int, int]:
    value = 0
    for count, byte in enumerate(message[at : at + LONGEST_VARINT]):
        value |= (byte & 0x7F) << (7 * count)
        if byte < 0x80:
            return value, at + count + 1
    raise Broken


def integer(number: int, value: int) -> bytes:
    """The field `number` with a whole number that is not negative."""
    return _encoded(number << 3 | VARINT) + _encoded(value)


def real(number: int, value: float) -> bytes:
    """The field `number` with a float of 32 bits."""
    return _encoded(number << 3 | FIXED32) + struct.pack("<f", value)


def message(number: int, content: bytes) -> bytes:
    """The field `number` with bytes: a text in UTF-8, or a message."""
    return _encoded(number << 3 | BYTES) + _encoded(len(content)) + content


def _encoded(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])
