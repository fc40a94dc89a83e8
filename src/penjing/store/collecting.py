"""Room is freed: old versions go to rest, packs lose the chunks nobody needs.

Does not know: how a version rests (`resting`).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from penjing.progress import Progress, Report
from penjing.store import packs, places, resting, staging
from penjing.store.faults import InUse, NotAsItsManifest
from penjing.store.index import Chunk
from penjing.store.removing import require_idle
from penjing.store.using import disk
from penjing.store.version import Version

if TYPE_CHECKING:
    from penjing.store.versions import Store

WORTH = 0.1
"""Share of its bytes that a version must free by resting."""


@dataclass(frozen=True)
class Collected:
    """`rested`: versions that rest now. `kept`: those that would, and the reason they do not (`in use`, `damaged`).
    `freed`: bytes on disk (with a dry run: about that many)."""

    rested: tuple[str, ...]
    kept: dict[str, str]
    freed: int


def collect(store: Store, unfinished: bool, dry: bool, report: Report | None) -> Collected:
    """See `Store.gc`; the caller holds the store's lock."""
    before = disk(store.root)
    rested, kept, freed = [], {}, 0
    waiting = list(old(store))
    for number, version in enumerate(waiting):
        if report is not None:
            report(Progress(number / len(waiting), "packing"))
        frees = freed_by_rest(store, version)
        if frees < WORTH * version.bytes:
            continue
        with ExitStack() as stack:
            try:
                require_idle(version, stack)
                if not dry:
                    resting.rest(store, [version])
            except InUse:
                kept[str(version)] = "in use"
                continue
            except NotAsItsManifest:
                kept[str(version)] = "damaged"
                continue
        rested.append(str(version))
        freed += frees
    if dry:
        return Collected(tuple(rested), kept, freed)
    tidy(store)
    staging.sweep(store.staging, 0.0 if unfinished else staging.LONG)
    return Collected(tuple(rested), kept, max(0, before - disk(store.root)))


def old(store: Store) -> Iterator[Version]:
    """Plain versions that no tag names and that are not the newest of their name, the oldest first."""
    versions = store.versions()
    newest = {version.name: version.number for version in versions}
    for version in versions:
        named = version.number in store.tags(version.name).values()
        if not named and version.number != newest[version.name] and version.plain:
            yield version


def freed_by_rest(store: Store, version: Version) -> int:
    """Bytes on disk: files with a second name elsewhere free nothing, and what must be packed is written again."""
    alone = sum(path.stat().st_size for path in version.files if not path.is_symlink() and path.stat().st_nlink == 1)
    packed = resting.only_in(store, [version], rests=True)
    return alone - sum(chunk.bytes for chunk in packed.values())


def tidy(store: Store) -> None:
    """Write packs again, as one, that hold chunks nobody needs; a damaged pack stays as it is."""
    versions = store.versions()
    wanted = places.needed(versions).keys() - places.plain(versions, own=True).keys()
    partly: list[Path] = []
    keep: dict[bytes, Chunk] = {}
    for path in packs.every(store.packs):
        inside = [chunk for chunk, _ in places.contents(path)]
        useful = [chunk for chunk in inside if chunk.digest in wanted]
        if inside and len(useful) < len(inside):
            partly.append(path)
            keep.update((chunk.digest, chunk) for chunk in useful)
        wanted -= {chunk.digest for chunk in useful}
    if not partly:
        return
    where = {
        chunk.digest: places.Place(path, at, chunk.bytes) for path in partly for chunk, at in places.contents(path)
    }
    resting.pack(store, keep, where, forgiving=True)
    for path in partly:
        path.unlink()
