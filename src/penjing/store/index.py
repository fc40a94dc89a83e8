"""The chunks of a version: which bytes make up its files, in order.

A file is its chunks one after the other, so an index needs no offsets: 36 bytes a chunk. `Cuts` lies beside each
version on disk (file `chunks`); an `Index` is what travels: the manifest byte for byte, and the cuts.

Does not know: where a chunk's bytes are.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import msgspec

from penjing import manifest as manifests
from penjing.files import write_whole
from penjing.manifest import File, Manifest
from penjing.store.faults import BadFilePath, BadIndex
from penjing.store.trust.admit import ORIGIN
from penjing.store.trust.faults import NotSignable
from penjing.store.trust.sign import identity

NAME = "chunks"
FORMAT = 1
OURS = (NAME, ORIGIN, manifests.NAME)
"""Files in a version's folder that are not the model's."""
WIDTH = hashlib.sha256().digest_size
LARGEST = 16 << 20
"""Bytes a chunk of anybody's index may have; ours are smaller (`cutting`)."""
MOST_FILES = 1 << 16


class Chunk(NamedTuple):
    """`digest` is the SHA-256 of its `bytes` bytes."""

    digest: bytes
    bytes: int

    @property
    def name(self) -> str:
        """Its digest in hex."""
        return self.digest.hex()


class Layout(msgspec.Struct, frozen=True, array_like=True):
    """One file: its path in the version's folder, size in bytes, and how many chunks it has."""

    path: str
    bytes: int
    chunks: int


class Cuts(msgspec.Struct, frozen=True, array_like=True):
    """`digests`: 32 bytes a chunk; `lengths`: a little-endian u32 a chunk, both in the order of `files`."""

    format: int
    files: tuple[Layout, ...]
    digests: bytes
    lengths: bytes

    def chunks(self) -> list[Chunk]:
        """All chunks in order."""
        lengths = struct.unpack(f"<{len(self.lengths) // 4}I", self.lengths)
        return [Chunk(self.digests[at * WIDTH : (at + 1) * WIDTH], each) for at, each in enumerate(lengths)]

    def per_file(self) -> Iterator[tuple[Layout, list[Chunk]]]:
        """Each file with its chunks."""
        chunks, at = self.chunks(), 0
        for layout in self.files:
            yield layout, chunks[at : at + layout.chunks]
            at += layout.chunks


class Index(msgspec.Struct, frozen=True, array_like=True):
    """What another machine needs to know of a version. `number` is the one it has where it comes from, `manifest` the
    bytes of its `manifest.json`."""

    format: int
    name: str
    number: int
    manifest: bytes
    cuts: Cuts

    @property
    def digest(self) -> str:
        """The version's identity (`version.identity_of`). Raises BadIndex."""
        return identity_of(self.described())

    def described(self) -> Manifest:
        """The manifest. Raises BadIndex."""
        try:
            return msgspec.json.decode(self.manifest, type=Manifest)
        except msgspec.DecodeError as error:
            raise BadIndex(path=self.name, detail=str(error)) from error


def identity_of(manifest: Manifest) -> str:
    """What tells versions apart: the SHA-256, in hex, of what is signed for them. The same before and after."""
    try:
        return identity(manifest)
    except NotSignable:  # a number that not every reader of JSON reads alike
        bare = msgspec.structs.replace(manifest, signatures=())
        return hashlib.sha256(msgspec.json.encode(bare)).hexdigest()


def joined(parts: list[tuple[str, list[Chunk]]]) -> Cuts:
    """The cuts of files, each a path and its chunks."""
    files = tuple(Layout(path, sum(each.bytes for each in chunks), len(chunks)) for path, chunks in parts)
    every = [chunk for _, chunks in parts for chunk in chunks]
    lengths = struct.pack(f"<{len(every)}I", *(chunk.bytes for chunk in every))
    return Cuts(FORMAT, files, b"".join(chunk.digest for chunk in every), lengths)


def encode(value: Index | Cuts) -> bytes:
    """As MessagePack."""
    return msgspec.msgpack.encode(value)


def decode(content: bytes, where: str) -> Index:
    """An index from anywhere, checked. Raises BadIndex (which names `where`) and BadFilePath."""
    try:
        found = msgspec.msgpack.decode(content, type=Index)
    except msgspec.DecodeError as error:
        raise BadIndex(path=where, detail=str(error)) from error
    check(found.cuts, where, found.described().files)
    return found


def check(cuts: Cuts, where: str, files: tuple[File, ...]) -> None:
    """Raises BadIndex unless `cuts` are consistent and are those of the manifest's `files`; BadFilePath."""
    if cuts.format != FORMAT:
        raise BadIndex(path=where, detail=f"format {cuts.format}, known: {FORMAT}")
    count = len(cuts.lengths) // 4
    if len(cuts.digests) != count * WIDTH or len(cuts.lengths) % 4 or len(cuts.files) > MOST_FILES:
        raise BadIndex(path=where, detail="its parts differ in length")
    if sum(layout.chunks for layout in cuts.files) != count or any(layout.chunks < 0 for layout in cuts.files):
        raise BadIndex(path=where, detail="its files and its chunks differ in number")
    if [(layout.path, layout.bytes) for layout in cuts.files] != [(entry.path, entry.bytes) for entry in files]:
        raise BadIndex(path=where, detail="its files are not those of the manifest")
    for layout, chunks in cuts.per_file():
        safe(layout.path)
        if sum(chunk.bytes for chunk in chunks) != layout.bytes:
            raise BadIndex(path=where, detail=f"the chunks of {layout.path} do not add up")
        if any(not 0 < chunk.bytes <= LARGEST for chunk in chunks):
            raise BadIndex(path=where, detail=f"a chunk of {layout.path} has an impossible size")


def save(cuts: Cuts, folder: Path) -> None:
    """Write `cuts` into a version's folder."""
    write_whole(folder / NAME, encode(cuts))


def load(folder: Path) -> Cuts:
    """The cuts of the version in `folder`. Raises BadIndex."""
    path = folder / NAME
    try:
        return msgspec.msgpack.decode(path.read_bytes(), type=Cuts)
    except (OSError, msgspec.DecodeError) as error:
        raise BadIndex(path=str(path), detail=str(error)) from error


def safe(text: str) -> str:
    """`text`, which is a path within a version's folder on every system. Raises BadFilePath."""
    path = PurePosixPath(text)
    odd = any(letter in text for letter in '\\:*?"<>|\0') or any(ord(letter) < 32 for letter in text)
    if odd or not text or path.is_absolute() or ".." in path.parts or path.as_posix() != text:
        raise BadFilePath(value=text)
    if text in ("", ".", *OURS):
        raise BadFilePath(value=text)
    return text
