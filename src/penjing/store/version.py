"""One version of a model: a folder with its files, `manifest.json` and `chunks` (the index).

A version is *plain* while its files are there as they are; what an engine maps is that file. One at rest has given
them up and keeps only those of its chunks that no plain file holds, in packs.

Does not know: other versions, packs.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import msgspec

from penjing import manifest as manifests
from penjing.errors import ModelCorrupt
from penjing.manifest import Manifest
from penjing.store import index
from penjing.store.faults import BadIndex, NotInStore
from penjing.store.index import Cuts

PROJECTOR = "mmproj"
"""How files that give a model eyes are named; they are parts beside a model."""


@dataclass(frozen=True)
class Version:
    """`number` counts up within `name` and is never given twice; `digest` (SHA-256 in hex) is its identity, the same
    before and after it is signed."""

    name: str
    number: int
    digest: str
    manifest: Manifest
    folder: Path

    def __str__(self) -> str:
        return f"{self.name}@{self.number}"

    @property
    def path(self) -> Path:
        """What an engine loads, or a converter reads: the `.gguf` file (the first of several shards), or the folder of
        a checkpoint. It is there while the version is plain; `Store.path` makes it so."""
        names = sorted(entry.path for entry in self.manifest.files)
        models = [
            name for name in names if name.endswith(".gguf") and PROJECTOR not in PurePosixPath(name).name.lower()
        ]
        if models:
            return self.folder / models[0]
        return self.folder / names[0] if len(names) == 1 else self.folder

    @property
    def files(self) -> list[Path]:
        """Where its files are while it is plain."""
        return [self.folder / entry.path for entry in self.manifest.files]

    @property
    def bytes(self) -> int:
        """Of all its files together."""
        return sum(entry.bytes for entry in self.manifest.files)

    @property
    def plain(self) -> bool:
        """Whether all files are there, each with its size."""
        return all(has(self.folder / entry.path, entry.bytes) for entry in self.manifest.files)

    def cuts(self) -> Cuts:
        """Its chunks. Raises BadIndex, and NotInStore where another process removed it meanwhile."""
        try:
            found = index.load(self.folder)
        except BadIndex:
            if self.folder.is_dir():
                raise
            raise NotInStore(model=str(self)) from None
        index.check(found, str(self.folder / index.NAME), self.manifest.files)
        return found


def has(path: Path, size: int) -> bool:
    """Whether there is a file of that size."""
    try:
        return path.stat().st_size == size
    except OSError:
        return False


def read(folder: Path, name: str) -> Version:
    """The version in `folder`, whose name is its number. Raises ModelCorrupt."""
    path = folder / manifests.NAME
    try:
        manifest = msgspec.json.decode(path.read_bytes(), type=Manifest)
    except (OSError, msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ModelCorrupt(path=str(path), detail=str(error)) from error
    return Version(name, int(folder.name), index.identity_of(manifest), manifest, folder)
