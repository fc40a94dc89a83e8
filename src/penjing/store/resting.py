"""Versions go to rest and wake up.

At rest a version keeps its manifest and index, and in packs those of its chunks that no plain file holds; its files
are put together again when they are asked for.

Does not know: which versions should rest (`collecting`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from penjing.files import require_room, sync_folder
from penjing.progress import Progress, Report
from penjing.store import packs, places, staging
from penjing.store.assembling import Part, assemble
from penjing.store.faults import LostChunks, NotAsItsManifest, ReferredGone
from penjing.store.index import Chunk
from penjing.store.places import Places, Reader
from penjing.store.version import Version, has

if TYPE_CHECKING:
    from penjing.store.versions import Store


def only_in(store: Store, leaving: Sequence[Version], rests: bool) -> dict[bytes, Chunk]:
    """Chunks that versions at rest (`leaving` among them, if it `rests`) need and that nothing would hold once the
    files of `leaving` are gone."""
    folders = [version.folder for version in leaving]
    staying = [version for version in store.versions() if version.folder not in folders]
    needed = places.needed([*staying, *leaving] if rests else staying, folders)
    held = places.packed(store).keys() | places.plain(staying, own=True).keys()
    return {digest: chunk for digest, chunk in needed.items() if digest not in held}


def rest(store: Store, leaving: Sequence[Version]) -> None:
    """Take the files of `leaving` away, after packing what only they hold. The caller holds the store's lock and knows
    that nobody uses them. Raises NotAsItsManifest where a file is damaged (and stays), DiskFull."""
    pack(store, only_in(store, leaving, rests=True), places.plain(leaving))
    for version in leaving:
        for path in version.files:
            path.unlink(missing_ok=True)


def pack(store: Store, chunks: dict[bytes, Chunk], where: Places, *, forgiving: bool = False) -> None:
    """Put `chunks`, which are at `where`, into a new pack; those that are nowhere are left out, and so are (where
    `forgiving`) damaged ones. Raises NotAsItsManifest where one is damaged, DiskFull."""
    found = [chunk for digest, chunk in chunks.items() if digest in where]
    if not found:
        return
    require_room(store.root, sum(chunk.bytes for chunk in found))
    found.sort(key=lambda chunk: where[chunk.digest])
    with Reader() as reader:
        packs.write(store.packs, _checked(found, where, reader, forgiving))


def _checked(chunks: Sequence[Chunk], where: Places, reader: Reader, forgiving: bool) -> Iterator[tuple[Chunk, bytes]]:
    for chunk in chunks:
        place = where[chunk.digest]
        content = reader.whole(chunk, place)
        if content is not None:
            yield chunk, content
        elif not forgiving:
            raise NotAsItsManifest(path=str(place.path), detail=f"bytes {place.offset} to {place.offset + place.bytes}")


def wake(store: Store, version: Version, report: Report | None = None) -> None:
    """Put the files of a version at rest together. Raises LostChunks, ReferredGone, DiskFull, NotInStore where it was
    removed meanwhile; `report` cancels by raising."""
    with store.writing(report):
        if not version.plain:
            _wake(store, version, report)


def _wake(store: Store, version: Version, report: Report | None) -> None:
    parts = list(absent(version))
    _require_referred(version)
    total = sum(chunk.bytes for part in parts for chunk in part.chunks)
    require_room(store.root, total)
    where, same = places.everywhere(store), places.files(store.versions())
    done = 0

    def tell(so_far: int) -> None:
        if report is not None:
            report(Progress((done + so_far) / max(total, 1), "assembling"))

    with staging.staged(store.staging) as folder:
        for part in parts:
            made = folder / part.path
            if not (part.sha256 in same and places.link(same[part.sha256], made)):
                damaged = assemble(part._replace(path=made), where, (), tell)
                if damaged:
                    raise LostChunks(model=str(version), count=len(damaged))
                staging.sync(made)
                staging.protect(made)
            done += sum(chunk.bytes for chunk in part.chunks)
        for part in parts:
            (folder / part.path).replace(version.folder / part.path)
        sync_folder(version.folder)


def _require_referred(version: Version) -> None:
    """Raises ReferredGone where the store has only a symbolic link to a file, and that leads nowhere now."""
    for entry in version.manifest.files:
        path = version.folder / entry.path
        if path.is_symlink() and not has(path, entry.bytes):
            raise ReferredGone(model=str(version), path=str(path.readlink()))


def absent(version: Version) -> Iterator[Part]:
    """Each file that is not there, its path as it is in the version."""
    sha256 = {entry.path: entry.sha256 for entry in version.manifest.files}
    for layout, chunks in version.cuts().per_file():
        if not has(version.folder / layout.path, layout.bytes):
            yield Part(Path(layout.path), chunks, sha256[layout.path])
