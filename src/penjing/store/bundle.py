"""Versions as plain files that can be carried on a disk or put on any web server (layout: see `fetch`).

Exporting into a folder that holds some already adds to it; importing takes only what is missing here.

Does not know: networks, signatures.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from penjing.errors import ModelCorrupt
from penjing.files import require_room, sync_folder, write_whole
from penjing.progress import Progress, Report
from penjing.store import delta, index, places
from penjing.store.faults import BadIndex, LostChunks, NearInStore, NotInStore, OnlyADifference
from penjing.store.fetch import Place, path_of
from penjing.store.index import Chunk, Index
from penjing.store.names import LATEST, STABLE, parse
from penjing.store.places import Places, Reader
from penjing.store.version import Version, has

if TYPE_CHECKING:
    from penjing.store.versions import Store

PAGE = "index.json"
FORMAT = 1
SHORT = 12
"""Letters of a digest that people see."""


class Entry(msgspec.Struct, frozen=True, omit_defaults=True):
    """A version of a bundle. `since` is the digest of the version without whose chunks it is no use; empty where it is
    whole."""

    name: str
    number: int
    digest: str
    bytes: int
    tags: tuple[str, ...] = ()
    since: str = ""


class Page(msgspec.Struct, frozen=True):
    """`index.json`."""

    format: int = FORMAT
    versions: tuple[Entry, ...] = ()


def contents(place: Place) -> Page:
    """What a bundle holds. Raises NotABundle, BadIndex, NetworkError."""
    try:
        page = msgspec.json.decode(place.page(PAGE), type=Page)
    except msgspec.DecodeError as error:
        raise BadIndex(path=f"{place}/{PAGE}", detail=str(error)) from error
    if page.format != FORMAT:
        raise BadIndex(path=f"{place}/{PAGE}", detail=f"format {page.format}, known: {FORMAT}")
    if wrong := [entry for entry in page.versions if not re.fullmatch(r"[0-9a-f]{64}", entry.digest)]:
        raise BadIndex(path=f"{place}/{PAGE}", detail=f"{wrong[0].name}: not a SHA-256")
    return page


def read_index(place: Place, entry: Entry) -> Index:
    """The index of one version. Raises NotABundle, BadIndex, BadFilePath, NetworkError."""
    where = f"versions/{entry.digest}"
    found = index.decode(place.page(where), f"{place}/{where}")
    if found.digest != entry.digest or found.name != entry.name:
        raise BadIndex(path=f"{place}/{where}", detail="it is of another version")
    return found


def chosen(page: Page, wanted: Iterable[str], where: str) -> list[Entry]:
    """The versions that `NAME`, `NAME:TAG` and `NAME@VERSION` mean there; the newest of each name without any. Raises
    BadName, NotInStore."""
    words = list(wanted) or sorted({entry.name for entry in page.versions})
    return [_one(page, word, where) for word in words]


def _one(page: Page, word: str, where: str) -> Entry:
    meant = parse(word)
    alike = sorted((entry for entry in page.versions if entry.name == meant.name), key=lambda entry: entry.number)
    found = alike
    if meant.version:
        found = [e for e in alike if str(e.number) == meant.version or e.digest.startswith(meant.version)][:1]
    elif meant.tag and meant.tag != LATEST:
        found = [entry for entry in alike if meant.tag in entry.tags]
    elif not meant.tag:
        found = [entry for entry in alike if STABLE in entry.tags] or alike
    if not found:
        near = [f"{entry.name}@{entry.number}" for entry in alike or page.versions]
        model = f"{word} ({where})"
        raise NearInStore(model=model, near=", ".join(near), first=near[0]) if near else NotInStore(model=model)
    return found[-1]


def export(
    store: Store, versions: Sequence[Version], folder: Path, since: Version | None = None, report: Report | None = None
) -> int:
    """Write `versions` into `folder`, without the chunks of `since`; bytes of chunks written. Raises LostChunks,
    DiskFull, BadIndex where the folder holds something else, NotInStore where a version is removed meanwhile; `report`
    cancels by raising, and what was written then is used the next time."""
    for leftover in folder.glob("**/.*.part"):  # of an export that was killed
        leftover.unlink(missing_ok=True)
    old = _here(folder)
    try:
        skip = {chunk.digest for chunk in since.cuts().chunks()} if since is not None else set()
        every = dict.fromkeys(chunk for version in versions for chunk in version.cuts().chunks())
        left = [chunk for chunk in every if chunk.digest not in skip and not has(folder / path_of(chunk), chunk.bytes)]
        total = sum(chunk.bytes for chunk in left)
        require_room(folder, total)
        _write(store, left, folder, total, report)
        for version in versions:
            write_whole(folder / "versions" / version.digest, index.encode(delta.index(version)))
    except (ModelCorrupt, FileNotFoundError) as error:
        for version in versions:
            if not version.folder.exists():  # somebody removed it; another with the same files may be there by now
                raise NotInStore(model=str(version)) from error
        raise
    entries = {entry.digest: entry for entry in old.versions}
    entries |= {version.digest: _entry(store, version, since, entries.get(version.digest)) for version in versions}
    page = Page(versions=tuple(sorted(entries.values(), key=lambda entry: (entry.name, entry.number))))
    write_whole(folder / PAGE, msgspec.json.format(msgspec.json.encode(page), indent=2) + b"\n")
    return total


def _here(folder: Path) -> Page:
    from penjing.store.fetch import Folder

    return contents(Folder(folder)) if (folder / PAGE).exists() else Page()


def _entry(store: Store, version: Version, since: Version | None, old: Entry | None) -> Entry:
    tags = tuple(sorted(tag for tag, number in store.tags(version.name).items() if number == version.number))
    whole = since is None or (old is not None and not old.since)
    return Entry(
        name=version.name,
        number=version.number,
        digest=version.digest,
        bytes=version.bytes,
        tags=tags,
        since="" if whole or since is None else since.digest,
    )


def _write(store: Store, chunks: Sequence[Chunk], folder: Path, total: int, report: Report | None) -> None:
    where = places.everywhere(store)
    done = 0
    with Reader() as reader:
        for chunk in chunks:
            content = _read(reader, chunk, where)
            if content is None:  # another process may have put it elsewhere
                where = places.everywhere(store)
                content = _read(reader, chunk, where)
            if content is None:
                raise LostChunks(model=chunk.name, count=1)
            _put(folder / path_of(chunk), content)
            done += chunk.bytes
            if report is not None:
                report(Progress(done / max(total, 1), "exporting"))
    for parent in {folder / path_of(chunk) for chunk in chunks}:
        sync_folder(parent.parent)


def _read(reader: Reader, chunk: Chunk, where: Places) -> bytes | None:
    place = where.get(chunk.digest)
    return reader.whole(chunk, place) if place is not None else None


def _put(path: Path, content: bytes) -> None:
    """As `write_whole`, but the folder is synced once in the end: thousands of chunks are written."""
    path.parent.mkdir(parents=True, exist_ok=True)
    spare = path.with_name(f".{path.name}.part")
    with spare.open("wb") as stream:
        stream.write(content)
        stream.flush()
        os.fsync(stream.fileno())
    spare.replace(path)


def take(
    store: Store, place: Place, wanted: Iterable[str] = (), report: Report | None = None, *, retag: bool = False
) -> list[Version]:
    """Keep the versions that `wanted` means there, with their tags as far as these mean nothing here yet (with `retag`
    all of them). Raises as `delta.assemble`, NotInStore, NotABundle, OnlyADifference."""
    found = []
    for entry in chosen(contents(place), wanted, str(place)):
        described = read_index(place, entry)
        if entry.since and delta.missing(store, described) and not _has(store, entry.since):
            raise OnlyADifference(model=f"{entry.name}@{entry.number}", place=str(place), since=entry.since[:SHORT])
        version = delta.assemble(store, described, place, report, origin=str(place))
        for tag in entry.tags:
            if retag or tag not in store.tags(version.name):
                store.tag(version.name, tag, version)
        found.append(version)
    return found


def _has(store: Store, digest: str) -> bool:
    return any(version.digest == digest for version in store.versions())
