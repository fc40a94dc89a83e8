"""A model that another program keeps becomes one of the store's, without its bytes being written again.

On the store's own disk the file gets a second name (a hard link), so that it stays when the other program removes its
own; on another disk, or where links are not allowed, the store refers to it (a symbolic link), and it must stay there.

Does not know: where other programs keep models (`neighbours` does).
"""

from __future__ import annotations

import secrets
from pathlib import Path

from penjing.manifest import Manifest
from penjing.progress import Report
from penjing.store import names, staging
from penjing.store.describing import facts
from penjing.store.neighbours import Found
from penjing.store.order import of_place
from penjing.store.placing import Taking
from penjing.store.version import Version
from penjing.store.versions import Store


def adopt(store: Store, found: Found, report: Report | None = None) -> Version:
    """Keep `found` as a version of the store. Raises ModelCorrupt, ModelUnsupported, DiskFull; `report` cancels by
    raising."""
    files = dict(found.files)
    name, tag = of_place(found.name, found.label)
    manifest = Manifest(
        name=name,
        version="",
        licence=found.licence,
        facts=facts(list(files.values())),
        recipe={"adopted from": found.owner, **({"source": found.source} if found.source else {})},
    )
    taking: Taking = "link" if linkable(store.staging, list(files.values())) else "refer"
    kept = store.add(files, manifest, taking=taking, report=report)
    if tag != names.LATEST:
        store.tag(name, tag, kept)
    return kept


def linkable(folder: Path, files: list[Path]) -> bool:
    """Whether the disk of `folder` can give all of `files` a second name."""
    folder.mkdir(parents=True, exist_ok=True)
    for path in files:
        trial = folder / f"{staging.GONE}{secrets.token_hex(8)}"
        try:
            trial.hardlink_to(path.resolve())
        except OSError:  # another disk, or one without links, or somebody else's file
            return False
        trial.unlink()
    return True
