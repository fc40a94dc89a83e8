"""What was converted once is kept: `PENJING_HOME/cache/gguf/KEY.gguf`, the key being what it was made from.

Does not know: how anything is converted.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable
from pathlib import Path

from penjing.errors import ModelCorrupt, ModelUnsupported
from penjing.files import home
from penjing.probe import model as probe
from penjing.progress import Progress, Report
from penjing.store.lock import held

VERSION = 1  # raise it when a conversion would come out differently
KEY_LENGTH = 24


def folder() -> Path:
    """Where the converted models are."""
    return home() / "cache" / "gguf"


def key(sources: Iterable[Path], recipe: str) -> str:
    """The name of what `recipe` makes of `sources`: other after any of them is changed, moved or replaced."""
    sha = hashlib.sha256(json.dumps([VERSION, recipe]).encode())
    for path in sorted(sources):
        facts = path.stat()
        sha.update(json.dumps([str(path.resolve()), facts.st_size, facts.st_mtime_ns]).encode())
    return sha.hexdigest()[:KEY_LENGTH]


def made(name: str, make: Callable[[Path], object], report: Report | None = None) -> Path:
    """The cached file `name`, made by `make(path)` where it is not there or is damaged. Of several processes that ask
    at once one makes it and the others wait; what a killed one left half-written is removed."""
    path = folder() / f"{name}.gguf"
    if _whole(path):
        return path
    waiting = (lambda: report(Progress(0.0, "waiting"))) if report else None
    with held(folder() / f"{name}.lock", waiting):
        if not _whole(path):
            for leftover in folder().glob(f".{path.name}.*.part"):
                leftover.unlink(missing_ok=True)
            make(path)
    return path


def _whole(path: Path) -> bool:
    if not path.is_file():
        return False
    try:
        probe.read(path)
    except (ModelCorrupt, ModelUnsupported):
        return False
    return True
