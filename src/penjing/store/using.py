"""How much room the store takes.

Does not know: how to free it.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from penjing.store import places, resting
from penjing.store.version import Version

if TYPE_CHECKING:
    from penjing.store.versions import Store


@dataclass(frozen=True)
class Used:
    """Of one version: `bytes` of its files while it is plain, `frees` what removing it would free on disk."""

    version: Version
    bytes: int
    frees: int


@dataclass(frozen=True)
class Usage:
    """In bytes: `disk` all of the store, `packs` and `unfinished` (interrupted fetches) parts of it; `apart` what all
    versions would take if each stood alone."""

    versions: tuple[Used, ...]
    disk: int
    packs: int
    unfinished: int
    apart: int


def usage(store: Store) -> Usage:
    """See `Store.usage`."""
    versions = store.versions()
    used = tuple(Used(version, version.bytes, _frees(store, version, versions)) for version in versions)
    return Usage(used, disk(store.root), disk(store.packs), disk(store.staging), sum(each.bytes for each in used))


def _frees(store: Store, version: Version, versions: list[Version]) -> int:
    own = [path for path in version.files if path.exists() and not path.is_symlink() and path.stat().st_nlink == 1]
    moved = resting.only_in(store, [version], rests=False)
    others = [each for each in versions if each != version]
    held = places.plain(versions).keys() | places.needed(others).keys()
    packed = [chunk for digest, chunk in places.needed([version]).items() if digest not in held]
    return (
        sum(path.stat().st_size for path in own)
        - sum(chunk.bytes for chunk in moved.values())
        + sum(chunk.bytes for chunk in packed)
    )


def disk(folder: Path) -> int:
    """Bytes the files under `folder` take on disk; one with several names counts once, a sparse one what it has."""
    seen: set[tuple[int, int]] = set()
    total = 0
    for place, _, names in os.walk(folder):
        for name in names:
            try:
                facts = Path(place, name).lstat()
            except OSError:  # removed this moment
                continue
            if (facts.st_dev, facts.st_ino) not in seen:
                seen.add((facts.st_dev, facts.st_ino))
                total += min(facts.st_size, getattr(facts, "st_blocks", 1 << 50) * 512)
    return total
