"""Where the bytes of a chunk are: in a plain file of some version, or in a pack.

Nothing of this is kept on disk; it follows from the versions' indexes and the packs.

Does not know: what the chunks belong to.
"""

from __future__ import annotations

import secrets
from collections import OrderedDict
from collections.abc import Collection, Iterable, Iterator
from io import FileIO
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from penjing.errors import ModelCorrupt
from penjing.store import packs
from penjing.store.chunks import sha256
from penjing.store.faults import NotInStore
from penjing.store.index import Chunk
from penjing.store.version import Version, has

if TYPE_CHECKING:
    from penjing.store.versions import Store

MOST_OPEN = 64


class Place(NamedTuple):
    """`bytes` bytes of `path` from `offset` on."""

    path: Path
    offset: int
    bytes: int


Places = dict[bytes, Place]
"""By digest."""


def plain(versions: Iterable[Version], *, own: bool = False) -> Places:
    """Chunks in files that are there as they are; with `own` without those that other programs keep (symbolic links):
    they may be gone tomorrow."""
    found: Places = {}
    for version in versions:
        for path, chunk, offset in spread(version):
            if path is not None and not (own and path.is_symlink()):
                found.setdefault(chunk.digest, Place(path, offset, chunk.bytes))
    return found


def needed(versions: Iterable[Version], resting: Collection[Path] = ()) -> dict[bytes, Chunk]:
    """Chunks of files that are not there, or will not be (those of versions in the folders `resting`)."""
    found = {}
    for version in versions:
        for path, chunk, _ in spread(version):
            if path is None or version.folder in resting:
                found[chunk.digest] = chunk
    return found


def packed(store: Store) -> Places:
    """Chunks in packs; a damaged pack has none (`verify` tells)."""
    found: Places = {}
    for path in packs.every(store.packs):
        for chunk, offset in contents(path):
            found.setdefault(chunk.digest, Place(path, offset, chunk.bytes))
    return found


def contents(path: Path) -> list[tuple[Chunk, int]]:
    """The chunks of a pack with their offsets, none of a damaged one."""
    try:
        return list(packs.read(path))
    except ModelCorrupt:
        return []


def everywhere(store: Store) -> Places:
    """Every chunk of the store; one in a plain file is taken from there."""
    return packed(store) | plain(store.versions())


def spread(version: Version) -> Iterator[tuple[Path | None, Chunk, int]]:
    """Each chunk of a version: its file (None where that is not there) and offset. Nothing of one whose index is
    damaged, or that is removed this moment."""
    try:
        cuts = version.cuts()
    except (ModelCorrupt, NotInStore):
        return
    for layout, chunks in cuts.per_file():
        path = version.folder / layout.path
        here = path if has(path, layout.bytes) else None
        at = 0
        for chunk in chunks:
            yield here, chunk, at
            at += chunk.bytes


def files(versions: Iterable[Version]) -> dict[str, Path]:
    """Plain files by their SHA-256 in hex, symbolic links and empty ones left out."""
    found = {}
    for version in versions:
        for entry in version.manifest.files:
            path = version.folder / entry.path
            if entry.bytes and has(path, entry.bytes) and not path.is_symlink():
                found[entry.sha256] = path
    return found


def link(source: Path, target: Path) -> bool:
    """Give the file `source` a second name, in place of whatever is at `target`. False where the disk cannot, or where
    the file was removed this moment."""
    target.parent.mkdir(parents=True, exist_ok=True)
    spare = target.with_name(f".{secrets.token_hex(8)}")
    try:
        spare.hardlink_to(source)
    except OSError:
        return False
    spare.replace(target)
    spare.unlink(missing_ok=True)  # rename(2) does nothing where both are the same file already
    return True


class Reader:
    """Reads places, keeping their files open. A context manager."""

    def __init__(self) -> None:
        self._open: OrderedDict[Path, FileIO] = OrderedDict()

    def __enter__(self) -> Reader:
        return self

    def __exit__(self, *error: object) -> None:
        while self._open:
            self._open.popitem()[1].close()

    def stream(self, path: Path) -> FileIO:
        """An open file. Raises OSError."""
        if path in self._open:
            self._open.move_to_end(path)
            return self._open[path]
        if len(self._open) >= MOST_OPEN:
            self._open.popitem(last=False)[1].close()
        self._open[path] = FileIO(path)
        return self._open[path]

    def whole(self, chunk: Chunk, place: Place) -> bytes | None:
        """The bytes of a chunk; None where they are no longer those."""
        try:
            stream = self.stream(place.path)
            stream.seek(place.offset)
            content = stream.read(place.bytes)
        except OSError:
            return None
        return content if sha256(memoryview(content)) == chunk.digest else None
