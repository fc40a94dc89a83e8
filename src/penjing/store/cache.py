"""What was converted once is kept: `PENJING_HOME/cache/gguf/NAME-PLACE-IDENTITY.gguf`.

PLACE is the source's path and the recipe, IDENTITY what the source is now: when it changes, its new conversion takes
the old one's place.

Does not know: how anything is converted.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from penjing.errors import ModelCorrupt, ModelUnsupported
from penjing.lock import held, held_now
from penjing.probe import model as probe
from penjing.progress import Progress, Report
from penjing.store import cached

VERSION = 2  # raise it when a conversion would come out differently
PLACE_LENGTH = 10
IDENTITY_LENGTH = 16
LONGEST_NAME = 48


@dataclass(frozen=True)
class Key:
    """`place` is where and how, `identity` which version of it, `source` what it is made of."""

    place: str
    identity: str
    source: Path

    @property
    def path(self) -> Path:
        """The file of this version."""
        return folder() / f"{self.place}-{self.identity}.gguf"

    @property
    def lock(self) -> Path:
        """Held by whoever makes any version."""
        return folder() / f"{self.place}.lock"


def folder() -> Path:
    """Where the converted models are."""
    return cached.folders()[0]


def key(source: Path, files: Iterable[Path], recipe: str) -> Key:
    """The key of what `recipe` makes of `source`: another identity after any of its `files` is changed or replaced,
    another place after it is moved."""
    whole = source.resolve()
    readable = re.sub(r"[^\w.]+", "_", whole.name)[:LONGEST_NAME]
    place = hashlib.sha256(json.dumps([str(whole), recipe]).encode()).hexdigest()[:PLACE_LENGTH]
    identity = hashlib.sha256(json.dumps([VERSION, recipe]).encode())
    for path in sorted(files):
        facts = path.stat()
        identity.update(json.dumps([path.name, facts.st_size, facts.st_mtime_ns]).encode())
    return Key(f"{readable}-{place}", identity.hexdigest()[:IDENTITY_LENGTH], whole)


def made(key: Key, make: Callable[[Path], object], report: Report | None = None) -> Path:
    """The cached file of `key`, made by `make(path)` where it is not there or is damaged. Of several processes that ask
    at once one makes it and the others wait; what killed ones left half-written is removed."""
    if _whole(key.path):
        return key.path
    waiting = (lambda: report(Progress(0.0, "waiting"))) if report else None
    with held(key.lock, waiting):
        if not _whole(key.path):
            sweep(key.lock)
            with cached.noted(key.path, key.source):
                make(key.path)
            for older in folder().glob(f"{key.place}-*.gguf"):
                if older != key.path:
                    cached.forget(older)
    return key.path


def sweep(mine: Path) -> None:
    """Remove what was half-written by processes that are no more; `mine` is a lock that the caller holds."""
    for leftover in folder().glob(".*.part"):
        lock = folder() / f"{leftover.name[1:].split('.gguf.')[0].rpartition('-')[0]}.lock"
        if lock == mine:
            _remove(leftover)
        else:
            with held_now(lock) as taken:
                if taken:
                    _remove(leftover)


def _remove(path: Path) -> None:
    shutil.rmtree(path, ignore_errors=True) if path.is_dir() else path.unlink(missing_ok=True)


def _whole(path: Path) -> bool:
    if not path.is_file():
        return False
    try:
        probe.read(path)
    except (ModelCorrupt, ModelUnsupported):
        return False
    return True
