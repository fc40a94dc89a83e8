"""A model that another program keeps becomes one of the store's, without its bytes being written again.

On the store's own disk the file gets a second name (a hard link), so that it stays when the other program removes its
own; on another disk, or where links are not allowed, the store refers to it (a symbolic link), and it must stay there.

Does not know: where other programs keep models (`neighbours` does).
"""

from __future__ import annotations

import difflib
import secrets
from collections.abc import Sequence
from pathlib import Path

from penjing.errors import InputError, ModelNotFound
from penjing.manifest import Manifest
from penjing.progress import Report
from penjing.store import names, staging
from penjing.store.describing import facts
from penjing.store.neighbours import Found
from penjing.store.order import of_place
from penjing.store.placing import Taking
from penjing.store.version import Version
from penjing.store.versions import Store

NEAR = 3
NEAR_ENOUGH = 0.4


class NotKept(ModelNotFound):
    """Facts: `model`, `near` (comma-separated)."""

    template = "No other program here keeps a model called '{model}'. Near it: {near}"
    hint = "penjing adopt shows what they keep; --folder DIR looks into one more folder."


class KeptTwice(InputError):
    """Facts: `model`, `all` (comma-separated), `owner` (one of those who keep it)."""

    template = "'{model}' means several models here: {all}"
    hint = "Name one with its quantization, or say whose: --from {owner}"
    code = "ambiguous_name"


def spelled(found: Found) -> str:
    """What a person types for it: `qwen3:4b`, or `owner/repo:Q4_K_M`."""
    return found.name if ":" in found.name else f"{found.name}:{found.label}"


def chosen(known: Sequence[Found], wanted: str) -> Found:
    """The one of `known` that `wanted` names; its quantization may be left out where there is one. Raises NotKept,
    KeptTwice."""
    asked = wanted.lower()
    exact = [each for each in known if asked == spelled(each).lower()]
    alike = exact or [each for each in known if asked in (each.name.lower(), each.name.lower().partition(":")[0])]
    if len(alike) == 1:
        return alike[0]
    if alike:
        raise KeptTwice(model=wanted, all=", ".join(map(spelled, alike)), owner=alike[0].owner)
    near = difflib.get_close_matches(asked, map(spelled, known), NEAR, NEAR_ENOUGH)
    raise NotKept(model=wanted, near=", ".join(near) or "-")


def adopted(versions: Sequence[Version], found: Found) -> Version | None:
    """The one of the store's `versions` that has these very files."""
    wanted = {_place(path) for _, path in found.files}
    return next((each for each in versions if wanted <= {_place(path) for path in each.files}), None)


def _place(path: Path) -> tuple[int, int]:
    try:
        about = path.stat()
    except OSError:  # gone, or at rest
        return (0, hash(path))
    return about.st_dev, about.st_ino


def adopt(store: Store, found: Found, report: Report | None = None) -> Version:
    """Keep `found` as a version of the store. Raises ModelCorrupt, DiskFull; `report` cancels by raising."""
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
    kept = store.add(files, manifest, taking=taking, report=report, origin=found.source)
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
