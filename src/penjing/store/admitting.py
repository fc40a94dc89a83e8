"""Whether what a person named may be loaded here: the policy of the settings, put to files, folders and versions.

Does not know: signatures and files (`trust.admit`), what is done with a model.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from penjing.progress import Report
from penjing.settings import PROJECT, load
from penjing.store.trust.admit import Allow, Subject, TrustSettings, Verdict, admit, origin_of, subject
from penjing.store.trust.faults import PolicyOfAFolder

if TYPE_CHECKING:
    from penjing.store.version import Version

SECTION = "trust"


def policy() -> TrustSettings:
    """What the settings demand. Raises PolicyOfAFolder where a folder that was merely entered asks for less, and
    SettingError."""
    loaded = load(TrustSettings, SECTION)
    source = loaded.sources["require"]
    if loaded.value.require is False and source.partition(":")[0] == PROJECT:
        raise PolicyOfAFolder(source=source)
    return loaded.value


def of_version(version: Version) -> Subject:
    """A version of the store: its own manifest says what is in it, wherever in it a file lies. It must be plain."""
    wanted = tuple(entry.path for entry in version.manifest.files)
    return Subject(str(version), version.folder, version.manifest, wanted, origin_of(version.folder))


def require_admitted(found: Subject | Path, allow: Allow | None = None, report: Report | None = None) -> Verdict:
    """Raises Altered, Unsigned, UnknownSigner where it may not be loaded (with `allow` these are only told),
    PolicyOfAFolder, KeyDamaged, ModelCorrupt; `report` cancels by raising."""
    known = subject(found) if isinstance(found, Path) else found
    return admit(known, allow=allow, require=policy().require, report=report)
