"""Everything in the store is read and compared with what was promised.

Does not know: how to repair it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from penjing.errors import ModelCorrupt
from penjing.progress import Progress, Report
from penjing.store import packs, places
from penjing.store.chunks import hashed
from penjing.store.faults import NotInStore
from penjing.store.index import Chunk
from penjing.store.version import Version, has

if TYPE_CHECKING:
    from penjing.store.versions import Store


@dataclass(frozen=True)
class Fault:
    """`where`: a version, or a file of the store; `detail`: what is wrong with it, in English."""

    where: str
    detail: str


def verify(store: Store, report: Report | None) -> list[Fault]:
    """See `Store.verify`."""
    found = list(store.all())
    versions = [each for each in found if isinstance(each, Version)]
    faults = [
        Fault(str(each.facts["path"]), str(each.facts["detail"])) for each in found if isinstance(each, ModelCorrupt)
    ]
    total = sum(path.stat().st_size for version in versions for path in version.files if path.exists())
    total += sum(path.stat().st_size for path in packs.every(store.packs))
    reader = Counting(total, report)
    for path in packs.every(store.packs):
        faults += _of_pack(path, reader)
    held = places.everywhere(store)
    for version in versions:
        faults += _of_version(version, held, reader)
    for name in sorted({version.name for version in versions}):
        here = {version.number for version in versions if version.name == name}
        lost = [f"{name}:{tag}" for tag, number in store.tags(name).items() if number not in here]
        faults += [Fault(tag, "names a version that is not there") for tag in lost]
    return faults


class Counting:
    """Tells how far reading is."""

    def __init__(self, total: int, report: Report | None) -> None:
        self._total, self._report, self._done = max(total, 1), report, 0

    def begin(self) -> Callable[[int], None]:
        """What to call with the bytes read so far of one more file."""
        before = self._done

        def tell(read: int) -> None:
            self._done = before + read
            if self._report is not None:
                self._report(Progress(min(1.0, self._done / self._total), "checking"))

        return tell


def _of_pack(path: Path, reader: Counting) -> Iterator[Fault]:
    try:
        inside = [chunk for chunk, _ in packs.read(path)]
    except ModelCorrupt as error:
        yield Fault(str(path), str(error.facts["detail"]))
        return
    yield from _of_chunks(path, str(path), inside, reader, begin=len(packs.MAGIC))


def _of_version(version: Version, held: places.Places, reader: Counting) -> Iterator[Fault]:
    try:
        cuts = version.cuts()
    except NotInStore:  # removed this moment
        return
    except ModelCorrupt as error:
        yield Fault(str(version), f"{error.facts['path']}: {error.facts['detail']}")
        return
    promised = {entry.path: entry.sha256 for entry in version.manifest.files}
    for layout, chunks in cuts.per_file():
        path = version.folder / layout.path
        where = f"{version}: {layout.path}"
        if has(path, layout.bytes):
            yield from _of_chunks(path, where, chunks, reader, sha256=promised[layout.path])
            continue
        if path.exists():
            yield Fault(where, f"{path.stat().st_size} bytes instead of {layout.bytes}")
        lost = [chunk for chunk in chunks if chunk.digest not in held]
        if lost:
            yield Fault(where, f"{len(lost)} of {len(chunks)} chunks are nowhere in the store")


def _of_chunks(
    path: Path, where: str, chunks: list[Chunk], reader: Counting, begin: int = 0, sha256: str = ""
) -> Iterator[Fault]:
    whole = hashlib.sha256()
    at, damaged = begin, False
    try:
        stream = path.open("rb", buffering=0)
    except FileNotFoundError:  # removed, or gone to rest, this moment
        return
    with stream:
        stream.seek(begin)
        sizes = [chunk.bytes for chunk in chunks]
        also = whole.update if sha256 else None
        for chunk, (digest, size) in zip(chunks, hashed(stream, sizes, also, reader.begin()), strict=True):
            if digest != chunk.digest:
                damaged = True
                yield Fault(where, f"bytes {at} to {at + size} are not what they were")
            at += size
    if sha256 and not damaged and whole.hexdigest() != sha256:
        yield Fault(where, "its SHA-256 is not that of the manifest")
