"""A model is signed: its files are compared with its manifest (which is written where there is none), and a signature
is added.

Does not know: keys' files, policies.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from penjing import manifest as manifests
from penjing.errors import ModelError
from penjing.files import write_whole
from penjing.manifest import File, Manifest
from penjing.progress import Progress, Report
from penjing.store import describing
from penjing.store.admitting import of_version
from penjing.store.faults import BadName, NotAsItsManifest
from penjing.store.names import suggested
from penjing.store.seal.form import is_sealed
from penjing.store.trust import digests
from penjing.store.trust.admit import BESIDE, Subject, differs, subject
from penjing.store.trust.faults import NothingToSign
from penjing.store.trust.keys import SigningKey
from penjing.store.trust.sign import signed
from penjing.store.version import Version

if TYPE_CHECKING:
    from penjing.store.versions import Store


def sign_version(store: Store, version: Version, key: SigningKey, report: Report | None = None) -> Manifest:
    """Sign a version of the store, whose files are read first. Raises NotAsItsManifest, NotSignable,
    LostChunks."""
    store.path(version, report)
    _require_same(of_version(version), report)
    with store.writing(report):
        made = signed(manifests.load(version.folder), key)
        manifests.save(made, version.folder)
    return made


def sign_path(path: Path, key: SigningKey, report: Report | None = None) -> Path:
    """Sign the model at `path`; where its manifest is: beside a file (`model.gguf.manifest.json`), or in the folder.
    Raises NothingToSign, NotAsItsManifest, NotSignable, CannotOpen; `report` cancels by raising."""
    found = subject(path)
    if found.manifest is None:
        manifest = _described(path, found.wanted, report)
    else:
        _require_same(found, report)
        manifest = found.manifest
    beside = path.with_name(path.name + BESIDE)
    if path.is_dir() or (found.manifest is not None and not beside.exists()):
        return manifests.save(signed(manifest, key), found.folder)
    content = msgspec.json.format(msgspec.json.encode(signed(manifest, key)), indent=2)
    return write_whole(beside, content + b"\n")


def _described(path: Path, wanted: tuple[str, ...], report: Report | None) -> Manifest:
    folder = path if path.is_dir() else path.parent
    paths = [folder / name for name in wanted]
    if not paths or not all(each.is_file() for each in paths):
        raise NothingToSign(path=str(path))
    try:
        facts = {} if any(map(is_sealed, paths)) else describing.facts(paths)
        name = suggested(path.name.removesuffix(".gguf"))
    except (ModelError, BadName) as error:
        raise NothingToSign(path=str(path)) from error
    entries = []
    for number, each in enumerate(paths):
        if report is not None:
            report(Progress(number / len(paths), "hashing"))
        size = each.stat().st_size
        entries.append(File(each.relative_to(folder).as_posix(), size, digests.digest(each)))
    return Manifest(name=name, version="", facts=facts, files=tuple(entries))


def _require_same(found: Subject, report: Report | None) -> None:
    """Nobody signs what is not there. Raises NotAsItsManifest."""
    if wrong := differs(found, known=True, report=report):
        name, detail = wrong
        raise NotAsItsManifest(path=str(found.folder / name), detail=detail)
