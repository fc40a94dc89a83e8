"""From version to version by the chunks that are missing here.

    index = delta.index(version)                  there: 36 bytes a chunk, and the manifest
    wanted = delta.missing(store, index)          here
    version = delta.assemble(store, index, fetch) here: `fetch(wanted)` gives their bytes, from wherever

Who cares who made a version looks at `index.described()` before it is assembled; what comes out is what that manifest
promises, byte for byte, whatever `fetch` gave.

Does not know: networks, signatures.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from io import FileIO
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from penjing import manifest as manifests
from penjing.errors import DiskFull
from penjing.files import NO_ROOM, human, require_room
from penjing.progress import Progress, Report
from penjing.store import index as indexes
from penjing.store import places, staging
from penjing.store.adding import commit
from penjing.store.assembling import Part, wrong
from penjing.store.assembling import assemble as put_together
from penjing.store.chunks import sha256
from penjing.store.faults import BadIndex, ForgedChunk, LostChunks, NotAsItsManifest
from penjing.store.index import FORMAT, Chunk, Index
from penjing.store.names import name_of
from penjing.store.trust.admit import mark
from penjing.store.version import Version, has

if TYPE_CHECKING:
    from penjing.store.versions import Store

Fetch = Callable[[Sequence[Chunk]], Iterator[bytes]]
"""The bytes of each chunk, in the order asked for. `str()` of it names where they come from."""
ATTEMPTS = 2
"""The second fetches the chunks that were damaged here."""


def index(version: Version) -> Index:
    """What another machine needs to know of `version`. Raises ModelCorrupt."""
    manifest = (version.folder / manifests.NAME).read_bytes()
    return Index(FORMAT, version.name, version.number, manifest, version.cuts())


def missing(store: Store, index: Index) -> list[Chunk]:
    """The chunks of `index` that this store has nowhere, each once, in the order of the files."""
    here = places.everywhere(store)
    return [chunk for chunk in dict.fromkeys(index.cuts.chunks()) if chunk.digest not in here]


def assemble(store: Store, index: Index, fetch: Fetch, report: Report | None = None, origin: str = "") -> Version:
    """Keep the version that `index` describes; the one that is there already, with the signatures of both, where it is.

    Chunks of this store are used, the others fetched; what was fetched is kept when this is cut short, and not fetched
    again. Its number is that of the index where it is free here. `origin` is kept with it: where it was fetched from.
    Raises BadName, BadIndex, BadFilePath, ForgedChunk,
    LostChunks, NotAsItsManifest (the index lies), DiskFull, and what `fetch` raises."""
    name = name_of(index.name)
    described = index.described()
    if described.name.lower() != name:
        raise BadIndex(path=index.name, detail=f"its manifest is that of {described.name}")
    indexes.check(index.cuts, index.name, described.files)
    if (known := _known(store, name, index)) is not None:
        return _signed(store, known, index)
    with staging.staged(store.staging, index.digest) as folder:
        if (known := _known(store, name, index)) is not None:  # another process did it while this one waited
            return known
        work = Work(store, index, folder, fetch, report)
        require_room(store.root, work.room())
        try:
            work.run()
        except NotAsItsManifest:
            staging.clear(folder, ())
            raise
        except OSError as error:
            if error.errno not in NO_ROOM:
                raise
            free = shutil.disk_usage(store.root).free
            raise DiskFull(path=str(store.root), needed=human(work.room()), free=human(free)) from error
        indexes.save(index.cuts, folder)
        if origin:
            mark(folder, origin)
        staging.clear(folder, {*indexes.OURS, *(layout.path for layout in index.cuts.files)})
        staging.settle(folder)
        with store.writing(report):
            return _known(store, name, index) or commit(store, folder, index.manifest, index.number, name)


def _known(store: Store, name: str, index: Index) -> Version | None:
    return next((each for each in store.versions(name) if each.digest == index.digest), None)


def _signed(store: Store, known: Version, index: Index) -> Version:
    """`known` with the signatures of `index` besides its own; of one key the newer."""
    both = {each.key: each for each in (*known.manifest.signatures, *index.described().signatures)}
    manifest = msgspec.structs.replace(known.manifest, signatures=tuple(both.values()))
    if manifest != known.manifest:
        with store.writing():
            manifests.save(manifest, known.folder)
    return replace(known, manifest=manifest)


class Work:
    """The making of one version in `folder`."""

    def __init__(self, store: Store, index: Index, folder: Path, fetch: Fetch, report: Report | None) -> None:
        self._index, self._fetch, self._report = index, fetch, report
        self._here = places.everywhere(store)
        same = places.files(store.versions())
        promised = {entry.path: entry.sha256 for entry in index.described().files}
        every = [Part(folder / layout.path, chunks, promised[layout.path]) for layout, chunks in index.cuts.per_file()]
        self._parts = [
            part for part in every if not (part.sha256 in same and places.link(same[part.sha256], part.path))
        ]
        self._begun = {part.path for part in self._parts if _begun(part)}

    def room(self) -> int:
        """Bytes still to be written."""
        there = sum(part.path.stat().st_blocks * 512 for part in self._parts if part.path.exists())
        return max(0, sum(chunk.bytes for part in self._parts for chunk in part.chunks) - there)

    def run(self) -> None:
        """Fetch what is missing, then put every file together. Raises as `assemble`."""
        for _ in range(ATTEMPTS):
            damaged = self._assembled(self._fetched())
            if not damaged:
                break
            self._here = {digest: place for digest, place in self._here.items() if digest not in damaged}
            self._begun = {part.path for part in self._parts}
        else:
            raise LostChunks(model=self._index.name, count=len(damaged))
        for part in self._parts:
            staging.protect(part.path)

    def _fetched(self) -> set[bytes]:
        """Have each chunk that is not here written where it belongs; their digests."""
        spots = self._spots()
        left = self._left(spots)
        wanted = [chunk for chunk in spots if chunk.digest in left]
        total, done = sum(chunk.bytes for chunk in wanted), 0
        with Writer() as writer:
            for chunk, content in zip(wanted, self._fetch(wanted) if wanted else (), strict=False):
                if sha256(memoryview(content)) != chunk.digest:
                    raise ForgedChunk(source=str(self._fetch), chunk=chunk.name, model=self._index.name)
                for path, offset in spots[chunk]:
                    writer.write(path, offset, content)
                left.discard(chunk.digest)
                done += chunk.bytes
                self._tell("fetching", total, 0, done)
        if left:
            raise LostChunks(model=self._index.name, count=len(left))
        return {chunk.digest for chunk in spots}

    def _spots(self) -> dict[Chunk, list[tuple[Path, int]]]:
        """Where each chunk belongs that is not here."""
        spots: dict[Chunk, list[tuple[Path, int]]] = {}
        for part in self._parts:
            at = 0
            for chunk in part.chunks:
                if chunk.digest not in self._here:
                    spots.setdefault(chunk, []).append((part.path, at))
                at += chunk.bytes
        return spots

    def _left(self, spots: dict[Chunk, list[tuple[Path, int]]]) -> set[bytes]:
        """Which of them an attempt before has not written."""
        left: set[bytes] = set()
        for part in self._parts:
            mine = [number for number, chunk in enumerate(part.chunks) if chunk in spots]
            if part.path in self._begun:
                left |= wrong(part, mine)
            else:
                left |= {part.chunks[number].digest for number in mine}
        return left

    def _assembled(self, fetched: set[bytes]) -> set[bytes]:
        """Make the files; chunks that were damaged here."""
        total = sum(chunk.bytes for part in self._parts for chunk in part.chunks)
        damaged: set[bytes] = set()
        done = 0
        for part in self._parts:
            damaged |= put_together(part, self._here, fetched, partial(self._tell, "assembling", total, done))
            done += sum(chunk.bytes for chunk in part.chunks)
        return damaged

    def _tell(self, stage: str, total: int, before: int, done: int) -> None:
        if self._report is not None:
            self._report(Progress((before + done) / max(total, 1), stage))


def _begun(part: Part) -> bool:
    """Have the file there with its size; whether an attempt before wrote into it."""
    size = sum(chunk.bytes for chunk in part.chunks)
    if part.path.exists() and part.path.stat().st_nlink > 1:  # shared by an attempt before, and with nobody now
        part.path.unlink()
    if has(part.path, size) and part.path.stat().st_blocks:
        part.path.chmod(0o600)
        return True
    part.path.parent.mkdir(parents=True, exist_ok=True)
    part.path.touch(mode=0o600)
    os.truncate(part.path, size)
    return False


class Writer:
    """Writes into files, which stay open. A context manager."""

    def __init__(self) -> None:
        self._open: dict[Path, FileIO] = {}

    def __enter__(self) -> Writer:
        return self

    def __exit__(self, *error: object) -> None:
        for stream in self._open.values():
            stream.close()

    def write(self, path: Path, offset: int, content: bytes) -> None:
        """Put `content` at `offset` of `path`. Raises OSError."""
        if path not in self._open:
            self._open[path] = FileIO(path, "r+")
        stream, left = self._open[path], memoryview(content)
        stream.seek(offset)
        while left:
            left = left[stream.write(left) :]
