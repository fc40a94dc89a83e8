"""The store: every model this machine keeps, each in versions.

    STORE/lock                       one writer at a time; readers need none
    STORE/models/NAME/shelf.json     tags, and the number of the next version
    STORE/models/NAME/NUMBER/        one version: its files, manifest.json, chunks
    STORE/packs/*.pack               chunks of versions at rest that no plain file holds
    STORE/staging/                   what is being made ready, or removed

Whatever changes takes effect by one rename, so that a killed process leaves the store as it was or as it should be;
what it left in `staging` is swept by the next writer.

Does not know: where models come from, engines.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from penjing.errors import ModelCorrupt
from penjing.files import home
from penjing.lock import held
from penjing.manifest import Manifest
from penjing.progress import Progress, Report
from penjing.store import names, shelf, staging, version
from penjing.store.faults import NearInStore, NotInStore, ReservedTag
from penjing.store.names import LATEST, SLASH, STABLE, Wanted, folder_of
from penjing.store.placing import Taking
from penjing.store.version import Version

if TYPE_CHECKING:
    from penjing.store.collecting import Collected
    from penjing.store.using import Usage
    from penjing.store.verifying import Fault

NEAR = 3
NEAR_ENOUGH = 0.5


class Store:
    """The store in the folder `root` (default: `PENJING_HOME/store`), which is made when something is added."""

    def __init__(self, root: Path | None = None) -> None:
        self.root = root if root is not None else home() / "store"
        self.models = self.root / "models"
        self.packs = self.root / "packs"
        self.staging = self.root / "staging"

    # What is there

    def versions(self, name: str = "") -> list[Version]:
        """Every version (of `name`) that can be read, by name and number."""
        return [found for found in self.all(name) if isinstance(found, Version)]

    def all(self, name: str = "") -> Iterator[Version | ModelCorrupt]:
        """As `versions`, and what is wrong with those that cannot be read."""
        for folder in self._folders(name):
            for place in sorted(
                (path for path in folder.iterdir() if path.name.isdigit()), key=lambda at: int(at.name)
            ):
                found = _read(place, folder.name.replace(SLASH, "/"))
                if isinstance(found, Version) or place.exists():  # else it was removed this moment
                    yield found

    def tags(self, name: str) -> dict[str, int]:
        """Which version each tag of `name` names. Raises ModelCorrupt."""
        return dict(shelf.read(self.models / folder_of(name)).tags)

    def find(self, text: str) -> Version:
        """The version that `NAME`, `NAME:TAG` or `NAME@VERSION` means; NAME alone is `stable` where that tag is set,
        else the newest. Raises BadName, NotInStore (with names near to it)."""
        wanted = names.parse(text)
        versions = self.versions(wanted.name)
        found = _chosen(wanted, versions, self.tags(wanted.name)) if versions else None
        if found is None:
            raise self._missing(text, wanted)
        return found

    def path(self, found: Version, report: Report | None = None) -> Path:
        """Its `path`, put together from chunks first where the version is at rest. Raises LostChunks, DiskFull."""
        if not found.plain:
            from penjing.store.resting import wake

            wake(self, found, report)
        return found.path

    # What changes it

    def add(
        self,
        files: Mapping[str, Path],
        manifest: Manifest,
        *,
        taking: Taking = "link",
        report: Report | None = None,
        origin: str = "",
    ) -> Version:
        """Keep `files` (path within the version to where the file is now) as a new version of `manifest.name`.

        Where `manifest.files` is empty it is filled in; else every file must be as it says. A `manifest.version` that
        is empty becomes the number. What is there already, file by file the same, is returned as it is. `origin` is
        kept with it: where it was fetched from (`hub:...`, `hf:...`), empty for what was made here.

        Raises BadName, BadFilePath, NoFiles, NotAsItsManifest, CannotOpen, DiskFull; `report` cancels by raising, and
        then nothing has happened.
        """
        from penjing.store.adding import add

        return add(self, files, manifest, taking, report, origin)

    def tag(self, name: str, tag: str, version: Version | str | None) -> None:
        """Let `name:tag` mean `version` (of that name), or nothing more with None. Raises BadName, NotInStore,
        ReservedTag."""
        name, tag = names.name_of(name), names.tag_of(tag)
        if tag == LATEST:
            raise ReservedTag(tag=tag)
        with self.writing():
            found = self.find(version) if isinstance(version, str) else version
            if found is not None and (found.name != name or not found.folder.is_dir()):
                raise NotInStore(model=f"{name}@{found.number}")
            folder = self.models / folder_of(name)
            old = shelf.read(folder)
            if found is None and tag not in old.tags:
                raise self._missing(f"{name}:{tag}", Wanted(name, tag))
            tags = {key: number for key, number in old.tags.items() if key != tag}
            shelf.save(shelf.Shelf(old.next, tags | ({tag: found.number} if found else {})), folder)

    def remove(self, found: Version | str) -> Version:
        """Remove a version, and the tags that name it. Raises NotInStore, InUse."""
        from penjing.store.removing import remove

        with self.writing():
            return remove(self, self.find(found) if isinstance(found, str) else found)

    def gc(self, *, unfinished: bool = False, dry: bool = False, report: Report | None = None) -> Collected:
        """Free room: let versions rest that no tag names and that are not the newest of their name, where that frees a
        tenth of them or more; drop chunks nobody needs and what dead writers left (with `unfinished` also what an
        interrupted fetch could go on with). Nothing that is in use is touched. `dry`: only tell."""
        from penjing.store.collecting import collect

        with self.writing(report):
            return collect(self, unfinished, dry, report)

    def verify(self, report: Report | None = None) -> list[Fault]:
        """Read everything and compare it with what was promised; what is wrong."""
        from penjing.store.verifying import verify

        return verify(self, report)

    def usage(self) -> Usage:
        """How much room it takes, and what."""
        from penjing.store.using import usage

        return usage(self)

    # For the modules that do the work

    @contextmanager
    def writing(self, report: Report | None = None) -> Iterator[None]:
        """Hold the store's lock in the block, after sweeping what dead writers left. It cannot be held twice."""
        waiting: Callable[[], None] | None = None
        if report is not None:
            told = report

            def waiting() -> None:
                told(Progress(0.0, "waiting"))

        with held(self.root / "lock", waiting):
            staging.sweep(self.staging)
            for leftover in (*self.models.glob("*/.*.part"), *self.packs.glob(".*.part")):
                leftover.unlink(missing_ok=True)  # written under this lock, so their writers are dead
            yield

    def _folders(self, name: str) -> list[Path]:
        if name:
            folder = self.models / folder_of(names.name_of(name))
            return [folder] if folder.is_dir() else []
        return sorted(path for path in self.models.iterdir() if path.is_dir()) if self.models.is_dir() else []

    def _missing(self, text: str, wanted: Wanted) -> NotInStore:
        here: dict[str, None] = {}
        for each in self.versions():
            here[each.name] = None
            here.update(
                (f"{each.name}:{tag}", None) for tag, number in self.tags(each.name).items() if number == each.number
            )
        asked = str(wanted)
        near = difflib.get_close_matches(asked, here, NEAR, NEAR_ENOUGH)
        near += [each for each in here if each not in near and (wanted.name in each or each in wanted.name)][:NEAR]
        if not near:
            return NotInStore(model=text)
        return NearInStore(model=text, near=", ".join(near[:NEAR]), first=near[0])


def _read(place: Path, name: str) -> Version | ModelCorrupt:
    try:
        return version.read(place, name)
    except ModelCorrupt as error:
        return error


def _chosen(wanted: Wanted, versions: list[Version], tags: dict[str, int]) -> Version | None:
    """`versions` are of one name, the newest last."""
    if wanted.version:
        number = int(wanted.version) if wanted.version.isdigit() and len(wanted.version) < 10 else -1
        alike = [each for each in versions if each.number == number]
        alike = alike or [
            each for each in versions if each.digest.startswith(wanted.version) and len(wanted.version) >= 6
        ]
        return alike[0] if len(alike) == 1 else None
    if wanted.tag and wanted.tag != LATEST:
        return next((each for each in versions if each.number == tags.get(wanted.tag)), None)
    stable = None if wanted.tag else tags.get(STABLE)
    return next((each for each in versions if each.number == stable), versions[-1])
