"""A new version: its files are put beside each other, cut and hashed, and take their place by one rename.

Does not know: where the files come from.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from penjing import manifest as manifests
from penjing.files import sync_folder, write_whole
from penjing.manifest import File, Manifest
from penjing.probe.faults import CannotOpen
from penjing.progress import Progress, Report
from penjing.store import chunks, index, places, shelf, staging, version
from penjing.store.faults import NoFiles, NotAsItsManifest
from penjing.store.index import Chunk
from penjing.store.names import folder_of, name_of
from penjing.store.placing import Taking, place
from penjing.store.trust.admit import mark
from penjing.store.version import Version

if TYPE_CHECKING:
    from penjing.store.versions import Store


def add(
    store: Store, files: Mapping[str, Path], manifest: Manifest, taking: Taking, report: Report | None, origin: str
) -> Version:
    """See `Store.add`."""
    name = name_of(manifest.name)
    if not files:
        raise NoFiles(model=manifest.name)
    for path, source in files.items():
        index.safe(path)
        if not source.is_file():
            raise CannotOpen(path=str(source), detail="it is not a file")
    with staging.staged(store.staging) as folder:
        for path, source in files.items():
            place(source, folder / path, taking)
        parts, entries = _surveyed(folder, sorted(files), report)
        _require_same(manifest, entries, files)
        _share(store, folder, entries, taking)
        index.save(index.joined(parts), folder)
        if origin:
            mark(folder, origin)
        staging.settle(folder)
        with store.writing(report):
            done = _known(store, name, manifest, entries) or commit(
                store, folder, msgspec.structs.replace(manifest, name=name, files=entries)
            )
    if taking == "move":
        for source in files.values():
            source.unlink(missing_ok=True)
    return done


def commit(store: Store, folder: Path, manifest: Manifest | bytes, number: int = 0, name: str = "") -> Version:
    """Give a finished folder its number and its place; the caller holds the store's lock. `manifest` is written as it
    is where it is bytes. `number` is wished for: a free one is taken where it is not."""
    name = name or (manifest.name if isinstance(manifest, Manifest) else "")
    home = store.models / folder_of(name)
    if number < 1 or (home / str(number)).exists():
        number = shelf.next_number(home)
    if isinstance(manifest, Manifest):
        manifests.save(msgspec.structs.replace(manifest, version=manifest.version or str(number)), folder)
    else:
        write_whole(folder / manifests.NAME, manifest)
    home.mkdir(parents=True, exist_ok=True)
    folder.rename(home / str(number))
    sync_folder(home)
    return version.read(home / str(number), name)


def _surveyed(
    folder: Path, paths: list[str], report: Report | None
) -> tuple[list[tuple[str, list[Chunk]]], tuple[File, ...]]:
    """The chunks and the entry of each file."""
    total = sum((folder / path).stat().st_size for path in paths)
    parts, entries, done = [], [], 0

    def tell(read: int) -> None:
        if report is not None:
            report(Progress((done + read) / max(total, 1), "hashing"))

    for path in paths:
        found, sha256 = chunks.of(folder / path, tell=tell)
        size = sum(chunk.bytes for chunk in found)
        parts.append((path, found))
        entries.append(File(path=path, bytes=size, sha256=sha256))
        done += size
    return parts, tuple(entries)


def _require_same(manifest: Manifest, entries: tuple[File, ...], files: Mapping[str, Path]) -> None:
    """Raises NotAsItsManifest."""
    if not manifest.files:
        return
    said = {entry.path: entry for entry in manifest.files}
    for entry in entries:
        if entry.path not in said:
            raise NotAsItsManifest(path=str(files[entry.path]), detail="it is not listed there")
        promised = said.pop(entry.path)
        if promised.bytes != entry.bytes:
            detail = f"{entry.bytes} bytes instead of {promised.bytes}"
            raise NotAsItsManifest(path=str(files[entry.path]), detail=detail)
        if promised.sha256 != entry.sha256:
            raise NotAsItsManifest(path=str(files[entry.path]), detail=f"its SHA-256 is {entry.sha256}")
    if said:
        raise NotAsItsManifest(path=manifest.name, detail=f"{', '.join(said)} is missing")


def _share(store: Store, folder: Path, entries: tuple[File, ...], taking: Taking) -> None:
    """A file that the store has already takes no room a second time."""
    if taking == "refer":
        return
    here = places.files(store.versions())
    for entry in entries:
        if entry.sha256 in here:
            places.link(here[entry.sha256], folder / entry.path)


def _known(store: Store, name: str, manifest: Manifest, entries: tuple[File, ...]) -> Version | None:
    """A version with the same files and the same words about them."""
    for each in store.versions(name):
        wished = manifest.version or each.manifest.version
        if each.manifest == msgspec.structs.replace(manifest, name=name, files=entries, version=wished):
            return each
    return None
