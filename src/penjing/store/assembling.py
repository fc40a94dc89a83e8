"""A plain file is put together from its chunks: copied (or shared, where the file system can) and hashed in one pass.

What is checked is the SHA-256 of the whole file, which the manifest promises; only when it differs are the chunks
looked at one by one.

Does not know: how chunks came here, versions.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from io import FileIO
from pathlib import Path
from typing import NamedTuple

from penjing.store.chunks import hashed, pool, threads
from penjing.store.faults import NotAsItsManifest
from penjing.store.index import Chunk
from penjing.store.places import Place, Places, Reader
from penjing.store.sharing import share

PIECE = 1 << 20
"""Bytes read, written and hashed at a time: they stay in a processor's cache."""
BUFFERS = 4


class Part(NamedTuple):
    """A file to make: where, of which chunks, and its SHA-256 in hex."""

    path: Path
    chunks: Sequence[Chunk]
    sha256: str


def assemble(part: Part, places: Places, there: Collection[bytes], tell: Callable[[int], None]) -> set[bytes]:
    """Make `part.path`. Chunks in `there` are in it already, each where it belongs; the others are at `places`.

    Returns the digests of chunks that turned out to be damaged or gone: none where the file is whole. `tell` hears how
    many bytes are done, and cancels by raising. Raises NotAsItsManifest where the chunks are not those of the file,
    OSError where the disk is full."""
    part.path.parent.mkdir(parents=True, exist_ok=True)
    part.path.touch(mode=0o600)
    with FileIO(part.path, "r+") as target, Reader() as reader:
        target.truncate(sum(chunk.bytes for chunk in part.chunks))
        sha = hashlib.sha256()
        with pool(1) as thread:
            hashing = Hashing(thread if threads() > 1 else None, sha.update)
            done = 0
            for chunk in part.chunks:
                place = None if chunk.digest in there else places.get(chunk.digest)
                _copy(chunk.bytes, place, target, done, reader, hashing)
                done += chunk.bytes
                tell(done)
            hashing.finish()
    if sha.hexdigest() == part.sha256:
        return set()
    damaged = wrong(part, range(len(part.chunks)))
    if not damaged:
        raise NotAsItsManifest(path=part.path.name, detail="its chunks make up another file")
    return damaged


def _copy(size: int, place: Place | None, target: FileIO, to: int, reader: Reader, hashing: Hashing) -> None:
    """Hash the next `size` bytes, which are at `place` and then in `target` too, or (None) in `target` already."""
    source, at = target, to
    if place is not None:
        try:
            source, at = reader.stream(place.path), place.offset
        except OSError:  # removed this moment: found to be missing in the end
            place = None
    shared = place is None or share(source.fileno(), at, target.fileno(), to, size)
    for begin in range(0, size, PIECE):
        view = hashing.buffer()[: min(PIECE, size - begin)]
        source.seek(at + begin)
        view = view[: source.readinto(view)]
        if not shared:
            target.seek(to + begin)
            target.write(view)
        hashing.take(view)


class Hashing:
    """Hashes in another thread what is read in this one; in this one where there is one core only."""

    def __init__(self, thread: ThreadPoolExecutor | None, update: Callable[[memoryview], None]) -> None:
        self._thread, self._update = thread, update
        self._buffers = [memoryview(bytearray(PIECE)) for _ in range(BUFFERS)]
        self._busy: list[Future[None] | None] = [None] * BUFFERS
        self._turn = 0

    def buffer(self) -> memoryview:
        """One that may be filled."""
        if (before := self._busy[self._turn]) is not None:
            before.result()
        return self._buffers[self._turn]

    def take(self, view: memoryview) -> None:
        """Hash what the last buffer was filled with."""
        if self._thread is None:
            self._update(view)
            return
        self._busy[self._turn] = self._thread.submit(self._update, view)
        self._turn = (self._turn + 1) % BUFFERS

    def finish(self) -> None:
        """Wait until all of it is hashed."""
        for each in self._busy:
            if each is not None:
                each.result()


def wrong(part: Part, numbers: Sequence[int]) -> set[bytes]:
    """Which of the chunks with these numbers (rising) the file has not, in their places."""
    found = set()
    starts = [0]
    for chunk in part.chunks:
        starts.append(starts[-1] + chunk.bytes)
    with part.path.open("rb", buffering=0) as stream:
        at = 0
        while at < len(numbers):
            end = at + 1  # a run of neighbours is read in one go
            while end < len(numbers) and numbers[end] == numbers[end - 1] + 1:
                end += 1
            run = [part.chunks[number] for number in numbers[at:end]]
            stream.seek(starts[numbers[at]])
            for chunk, (digest, _) in zip(run, hashed(stream, [each.bytes for each in run]), strict=True):
                if digest != chunk.digest:
                    found.add(chunk.digest)
            at = end
    return found
