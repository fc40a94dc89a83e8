"""Models are sealed where they are kept: a file beside the plain one, a version of the store after the plain one.

Does not know: ciphers and keys (`seal`), doors.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from penjing.progress import Report
from penjing.store import staging
from penjing.store.seal import form, keys
from penjing.store.seal.form import Cipher
from penjing.store.seal.keys import Ask, SealSettings
from penjing.store.seal.sealing import SUFFIX, MakeSlot, seal
from penjing.store.version import Version

if TYPE_CHECKING:
    from penjing.store.versions import Store


@dataclass(frozen=True)
class Lock:
    """`ways` make the slots; `means` and `ask` open each of them again, which is tried before anything counts as
    sealed."""

    ways: tuple[MakeSlot, ...]
    means: SealSettings = field(default_factory=SealSettings)
    ask: Ask | None = None
    cipher: Cipher = "aes-256-gcm"


def seal_file(source: Path, target: Path, lock: Lock, report: Report | None = None) -> None:
    """Write `source` to `target`, sealed. Raises what `seal.sealing.seal` raises, KeyChanges; then there is no
    `target`."""
    seal(source, target, lock.ways, cipher=lock.cipher, report=report)
    try:
        keys.require_opens(form.read(target), lock.means, lock.ask)
    except BaseException:
        target.unlink()
        raise


def seal_version(
    store: Store, plain: Version, lock: Lock, *, replace: bool = False, report: Report | None = None
) -> Version:
    """A new version of the same name that is `plain`, sealed; with `replace` it gets the tags of `plain`, which is
    removed. Raises as `seal_file`, and InUse where `plain` is used and stays."""
    source = store.path(plain, report)
    with staging.staged(store.staging) as folder:
        made = folder / (source.name + SUFFIX)
        seal_file(source, made, lock, report)
        manifest = msgspec.structs.replace(
            plain.manifest,
            version="",
            files=(),
            parent=plain.digest,
            recipe={"sealed": lock.cipher},
            signatures=(),
        )
        kept = store.add({made.name: made}, manifest, taking="move", report=report)
    if replace:
        for tag, number in store.tags(plain.name).items():
            if number == plain.number:
                store.tag(plain.name, tag, kept)
        store.remove(plain)
    return kept
