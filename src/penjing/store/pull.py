"""The files of an order come here, each is checked, and they become a version of the store, or a folder.

What is on this machine already (in the store, or kept by another program) is taken from there.

Does not know: protocols (`sources` does), how bytes move (`download` does), who watches.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable
from urllib.parse import urlsplit

from penjing import manifest as manifests
from penjing.errors import InputError
from penjing.files import require_room
from penjing.lock import held
from penjing.manifest import File, Manifest
from penjing.progress import Report
from penjing.sources import source as sources
from penjing.sources.client import Client
from penjing.sources.loop import Loop
from penjing.sources.names import Reference
from penjing.sources.patience import Patience
from penjing.sources.source import RemoteFile
from penjing.store import neighbours, places, staging
from penjing.store.adopt import linkable
from penjing.store.describing import facts
from penjing.store.download import CONNECTIONS, JOURNAL, Download, subject
from penjing.store.journal import Journal
from penjing.store.order import Order, Waiting
from penjing.store.placing import place
from penjing.store.version import Version
from penjing.store.versions import Store

PARTIAL = ".penjing-pull-"
"""How the folder of an unfinished download begins, in the folder that it is for."""


class WouldOverwrite(InputError):
    """Facts: `path`."""

    template = "{path} is there already and has another content."
    hint = "Move it away, or choose another folder: --output DIR"
    code = "would_overwrite"


@runtime_checkable
class Keeper(Protocol):
    """A source that brings whole versions by their chunks, with signatures, as a hub does. It says so by `bring`."""

    def bring(self, reference: Reference, store: Store, report: Report | None) -> tuple[Version, int]:
        """The version that `reference` means, kept in `store` under its own name with its own tags, and how many bytes
        came over the network. Raises what `delta.assemble` raises, NetworkError, what its trust refuses."""


@dataclass(frozen=True)
class Pulled:
    """`path` is what an engine takes. `moved` counts bytes that came over the network, `linked` those that were on this
    machine before. `version` is None where the files went to a folder of the person's. `known`: it was here before."""

    order: Order
    path: Path
    manifest: Manifest
    version: Version | None
    moved: int = 0
    linked: int = 0
    known: bool = False


@dataclass(frozen=True)
class Way:
    """How to fetch: requests at once, how long a source is waited for, who is told."""

    connections: int = CONNECTIONS
    patience: Patience | None = None
    report: Report | None = None
    waiting: Waiting | None = None


USUAL = Way()


def pull(wanted: Order, *, store: Store | None = None, output: Path | None = None, way: Way = USUAL) -> Pulled:
    """Bring the files of `wanted` into the store, or into the folder `output`. Where it is stopped, by whatever, the
    next call goes on. Raises DiskFull, WrongDigest, ModelCorrupt, WouldOverwrite, NetworkError, AccessError, and what a
    `Keeper` raises; the report stops it by raising."""
    store = store or Store()
    if output is not None:
        return _into_folder(store, wanted, output, way)
    keeper = sources.source(wanted.listing.reference)
    if isinstance(keeper, Keeper):
        kept, moved = keeper.bring(wanted.listing.reference, store, way.report)
        return Pulled(wanted, store.path(kept, way.report), kept.manifest, kept, moved, known=not moved)
    known = _known(store, wanted)
    if known is not None:
        _tag(store, wanted, known)
        return Pulled(wanted, store.path(known, way.report), known.manifest, known, known=True)
    with _gathering(store, None, wanted) as folder:
        came = _fetched(store, wanted, folder, way, sharing=True)
        kept = store.add(came.files, came.manifest, taking="move", report=way.report, origin=str(wanted.source))
        _tag(store, wanted, kept)
        return Pulled(wanted, kept.path, kept.manifest, kept, came.moved, came.linked)


def _into_folder(store: Store, wanted: Order, output: Path, way: Way) -> Pulled:
    _require_free(output, wanted)
    with _gathering(store, output, wanted) as folder:
        came = _fetched(store, wanted, folder, way, sharing=False)
        path = _delivered(wanted, came.files, output, came.manifest)
        return Pulled(wanted, path, came.manifest, None, came.moved, came.linked)


@dataclass(frozen=True)
class Came:
    """What is here now, each file where it was gathered."""

    files: Mapping[str, Path]
    manifest: Manifest
    moved: int
    linked: int


def _fetched(store: Store, wanted: Order, folder: Path, way: Way, sharing: bool) -> Came:
    """Gather the files in `folder`, each checked."""
    linked = _from_here(store, wanted, folder, sharing)
    require_room(folder, wanted.bytes - _arrived(folder, wanted))
    download = Download(
        wanted.files,
        wanted.listing.headers,
        folder,
        version=_version(wanted),
        connections=way.connections,
        report=way.report,
    )
    manifest = _manifest(wanted, folder, _run(download, way))
    return Came({file.path: folder / file.path for file in wanted.files}, manifest, download.moved, linked)


def _run(download: Download, way: Way) -> list[str]:
    async def run() -> list[str]:
        async with Client(way.patience, way.waiting) as client:
            return await download.run(client)

    with Loop() as loop:
        return loop.run(run())


def _manifest(wanted: Order, folder: Path, digests: list[str]) -> Manifest:
    """What came; a damaged model is refused here. Raises ModelCorrupt."""
    paths = [folder / file.path for file in wanted.files]
    entries = tuple(
        File(path=file.path, bytes=path.stat().st_size, sha256=digest)
        for file, path, digest in zip(wanted.files, paths, digests, strict=True)
    )
    return Manifest(
        name=wanted.name,
        version="",
        licence=wanted.listing.licence,
        facts=facts(paths) or {"quantization": wanted.variant.label},
        files=entries,
        recipe=_recipe(wanted),
    )


def _recipe(wanted: Order) -> dict[str, object]:
    source, found = str(wanted.source), wanted.listing
    return {"source": source, "revision": found.revision, "page": found.page}


def _subject(wanted: Order) -> str:
    return subject(wanted.files, _version(wanted))


def _version(wanted: Order) -> str:
    """What pieces of other files must not be mixed with."""
    return f"{wanted.source} {wanted.listing.revision}"


@contextmanager
def _gathering(store: Store, output: Path | None, wanted: Order) -> Iterator[Path]:
    """The folder of this download, one process at a time; it stays when the block fails."""
    key = _subject(wanted)[:24]
    if output is None:
        with staging.staged(store.staging, kept=key) as folder:
            yield folder
        return
    folder = output / f"{PARTIAL}{key}"
    folder.mkdir(parents=True, exist_ok=True)
    with held(folder / ".lock"):
        yield folder
    staging.discard(folder)


def _from_here(store: Store, wanted: Order, folder: Path, sharing: bool) -> int:
    """Give files that are on this machine already a second name in `folder`, or without `sharing` a copy, which the
    person may write into; their bytes. They are hashed like any others."""
    here = places.files(store.versions())
    linked = 0
    with Journal(folder / JOURNAL, _subject(wanted)) as journal:
        for number, file in enumerate(wanted.files):
            target = folder / file.path
            source = _local(file, here)
            if source is None or journal.done(number):
                continue
            target.unlink(missing_ok=True)
            place(source, target, "link" if sharing and linkable(folder, [source]) else "copy")
            journal.add(number, 0, source.stat().st_size)
            linked += source.stat().st_size
    return linked


def _local(file: RemoteFile, here: Mapping[str, Path]) -> Path | None:
    if file.url.startswith("file:"):
        from urllib.request import url2pathname

        return Path(url2pathname(urlsplit(file.url).path))
    if not file.sha256:
        return None
    return here.get(file.sha256) or neighbours.by_digest(file.sha256, file.bytes)


def _arrived(folder: Path, wanted: Order) -> int:
    with Journal(folder / JOURNAL, _subject(wanted)) as journal:
        return sum(stop - start for number in range(len(wanted.files)) for start, stop in journal.done(number))


def _known(store: Store, wanted: Order) -> Version | None:
    """A version of this name that has these very files."""
    for version in reversed(store.versions(wanted.name)):
        entries = {entry.path: entry for entry in version.manifest.files}
        told = bool(wanted.listing.revision) and version.manifest.recipe == _recipe(wanted)
        if len(entries) == len(wanted.files) and all(
            file.path in entries and _same(file, entries[file.path], version, told) for file in wanted.files
        ):
            return version
    return None


def _same(file: RemoteFile, entry: File, version: Version, told: bool) -> bool:
    """`told`: the source says that it is the same, which counts where it gives no digest."""
    if file.bytes != entry.bytes:
        return False
    if file.sha256:
        return file.sha256 == entry.sha256
    path = version.folder / entry.path
    if not file.git:
        return told
    if not path.is_file():
        return False
    content = path.read_bytes()
    return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest() == file.git


def _tag(store: Store, wanted: Order, version: Version) -> None:
    for tag in wanted.tags:
        store.tag(wanted.name, tag, version)


def _require_free(output: Path, wanted: Order) -> None:
    """Raises WouldOverwrite."""
    for file in wanted.files:
        path = output / file.path
        if path.exists() and not (path.is_file() and path.stat().st_size == file.bytes):
            raise WouldOverwrite(path=str(path))


def _delivered(wanted: Order, files: Mapping[str, Path], output: Path, manifest: Manifest) -> Path:
    """Move what came to where the person wants it; the manifest comes last."""
    for path, source in files.items():
        target = output / path
        said = next(entry for entry in manifest.files if entry.path == path)
        if target.exists() and manifests.digest(target) != said.sha256:
            raise WouldOverwrite(path=str(target))
        target.parent.mkdir(parents=True, exist_ok=True)
        staging.sync(source)
        source.replace(target)
    manifests.save(manifest, output)
    return output / wanted.variant.files[0].path if wanted.variant.kind == "gguf" else output
