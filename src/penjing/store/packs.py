"""Packs: files of chunks that versions at rest need and no plain file holds.

    8 bytes magic, the chunks one after the other, MessagePack [digests, lengths], u64 length of that, 8 bytes magic

A pack is written whole or not at all, and never changed.

Does not know: who needs which chunk.
"""

from __future__ import annotations

import secrets
import struct
from collections.abc import Iterable, Iterator
from pathlib import Path

import msgspec

from penjing.files import writing
from penjing.store.faults import BadIndex
from penjing.store.index import WIDTH, Chunk

MAGIC = b"PENJPCK1"
END = struct.Struct("<Q8s")
SUFFIX = ".pack"


class Contents(msgspec.Struct, frozen=True, array_like=True):
    """`digests`: 32 bytes a chunk; `lengths`: a little-endian u32 a chunk."""

    digests: bytes
    lengths: bytes


def write(folder: Path, chunks: Iterable[tuple[Chunk, bytes]]) -> Path:
    """A new pack of `chunks` and their bytes. Raises DiskFull."""
    path = folder / f"{secrets.token_hex(16)}{SUFFIX}"
    digests, lengths = bytearray(), bytearray()
    with writing(path) as stream:
        stream.write(MAGIC)
        for chunk, content in chunks:
            digests += chunk.digest
            lengths += struct.pack("<I", chunk.bytes)
            stream.write(content)
        contents = msgspec.msgpack.encode(Contents(bytes(digests), bytes(lengths)))
        stream.write(contents + END.pack(len(contents), MAGIC))
    return path


def every(folder: Path) -> list[Path]:
    """All packs."""
    return sorted(folder.glob(f"*{SUFFIX}"))


def read(path: Path) -> Iterator[tuple[Chunk, int]]:
    """The chunks of a pack, each with where its bytes begin. Raises BadIndex."""
    try:
        contents, room = _contents(path)
    except (OSError, struct.error, msgspec.DecodeError) as error:
        raise BadIndex(path=str(path), detail=str(error)) from error
    count = len(contents.lengths) // 4
    lengths = struct.unpack(f"<{count}I", contents.lengths[: count * 4])
    if len(contents.digests) != count * WIDTH or sum(lengths) != room:
        raise BadIndex(path=str(path), detail="its parts differ in length")
    at = len(MAGIC)
    for place, length in enumerate(lengths):
        yield Chunk(contents.digests[place * WIDTH : (place + 1) * WIDTH], length), at
        at += length


def _contents(path: Path) -> tuple[Contents, int]:
    """What a pack holds, and how many bytes that must be."""
    with path.open("rb") as stream:
        size = stream.seek(0, 2)
        stream.seek(-END.size, 2)
        length, magic = END.unpack(stream.read(END.size))
        begin = size - END.size - length
        if magic != MAGIC or begin < len(MAGIC):
            raise BadIndex(path=str(path), detail="its end is missing")
        stream.seek(begin)
        return msgspec.msgpack.decode(stream.read(length), type=Contents), begin - len(MAGIC)
