"""The folder in which a run works: every step's result is kept there under a name that says what it was made of, so
that the same command goes on where it was stopped, however it was.

    WORK/lock, WORK/running    held by the one run that works here; its process
    WORK/digests.json          SHA-256 of files that were hashed, while their size and time stay
    WORK/KEY/scratch           a step's own checkpoints
    WORK/KEY/output            what it made, whole or not there
    WORK/KEY/done.json         written last: the step is done

Does not know: steps; what is done with the result.
"""

from __future__ import annotations

import dataclasses
import hashlib
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

import penjing
from penjing import manifest
from penjing.errors import DiskFull, InputError
from penjing.files import write_whole
from penjing.lock import held_now
from penjing.probe.model import read
from penjing.shrink.output import sweep
from penjing.shrink.recipe import Step, values
from penjing.shrink.steps.kind import Kind, Named

LOCK, RUNNING, DIGESTS, DONE = "lock", "running", "digests.json", "done.json"
KEY_LENGTH = 16


class AlreadyRunning(InputError):
    """Facts: `path` (of the work), `process`."""

    template = "Another penjing (process {process}) works on this already, in {path}."
    hint = "Wait for it, stop it, or choose another --output."
    code = "already_running"


class NoSuchFile(InputError):
    """An option of a step names a file that is not there. Facts: `path`, `name` (of the option)."""

    template = "{path} ({name}) is not there."
    code = "no_such_file"


class NoSuchName(NoSuchFile):
    """As `NoSuchFile`, where the option may also be a name. Facts: also `known` (names)."""

    hint = "Give a file or a folder that is there, or what is built in: {known}"
    code = "no_such_name"


class Done(msgspec.Struct, frozen=True):
    """What a finished step left: `model` relative to its folder (empty: the one it was given), `found` as the step told
    it, `seconds` over all its tries, `data`: SHA-256 of the files that its options name."""

    model: str
    found: dict[str, Any]
    seconds: float
    data: dict[str, str] = {}


@dataclass(frozen=True)
class Place:
    """Where one step works."""

    folder: Path

    @property
    def output(self) -> Path:
        return self.folder / "output"

    @property
    def scratch(self) -> Path:
        return self.folder / "scratch"

    def done(self) -> Done | None:
        """What it left; None where it is not finished, or somebody removed what it made."""
        try:
            found = msgspec.json.decode((self.folder / DONE).read_bytes(), type=Done)
        except (OSError, msgspec.DecodeError):
            return None
        return found if not found.model or (self.folder / found.model).exists() else None

    def begin(self) -> float:
        """Make ready for a try: what an earlier one did not finish is removed, its scratch stays. Returns the seconds
        that earlier tries took."""
        (self.folder / DONE).unlink(missing_ok=True)
        shutil.rmtree(self.output, ignore_errors=True)
        sweep(self.output)
        self.scratch.mkdir(parents=True, exist_ok=True)
        try:
            return float((self.folder / "seconds").read_text())
        except (OSError, ValueError):
            return 0.0

    def spent(self, seconds: float) -> None:
        """Keep in mind what tries took so far."""
        if self.folder.is_dir():
            with suppress(DiskFull, OSError):  # what stopped the try is told, not this
                write_whole(self.folder / "seconds", f"{seconds:.3f}".encode())

    def finish(self, model: Path | None, found: Mapping[str, Any], seconds: float, data: Mapping[str, str]) -> Done:
        """The step is done; None is the model that it was given."""
        inside = model.relative_to(self.folder).as_posix() if model else ""
        done = Done(inside, dict(found), seconds, dict(data))
        write_whole(self.folder / DONE, msgspec.json.format(msgspec.json.encode(done), indent=2))
        shutil.rmtree(self.scratch, ignore_errors=True)
        return done


class Workshop:
    """The folder of one run. Use `opened`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._digests: dict[str, tuple[int, int, str]] = {}
        with suppress(OSError, msgspec.DecodeError):
            self._digests = msgspec.json.decode((folder / DIGESTS).read_bytes(), type=dict[str, tuple[int, int, str]])

    def place(self, before: str, step: Step, data: Mapping[str, str]) -> tuple[str, Place]:
        """The key of `step` after what has the key `before`, and where it works. The key changes with the options, with
        the content of every file they name (`data`) and with penjing."""
        facts = [before, step.kind, values(step), dict(data), penjing.__version__]
        key = hashlib.sha256(msgspec.json.encode(facts, order="sorted")).hexdigest()[:KEY_LENGTH]
        return key, Place(self.folder / key)

    def digest(self, path: Path) -> str:
        """SHA-256 of a file, computed once while its size and time stay."""
        name, facts = str(path.resolve()), path.stat()
        known = self._digests.get(name)
        if known is None or known[:2] != (facts.st_size, facts.st_mtime_ns):
            known = (facts.st_size, facts.st_mtime_ns, manifest.digest(path))
            self._digests[name] = known
            write_whole(self.folder / DIGESTS, msgspec.json.encode(self._digests))
        return known[2]

    def data(self, step: Step) -> dict[str, str]:
        """SHA-256 of every file that the options of `step` name. Raises NoSuchFile."""
        found = {}
        for name, value in _paths(step):
            if not value.exists():
                raise NoSuchFile(path=str(value), name=f"{step.kind}.{name}")
            for file in [value] if value.is_file() else sorted(path for path in value.rglob("*") if path.is_file()):
                found[str(file.relative_to(value.parent))] = self.digest(file)
        return found

    def origin(self, model: Path) -> str:
        """What is begun with: a digest over all files of the model. Raises ModelNotFound, ModelCorrupt."""
        files = [path for path in sorted(model.rglob("*")) if path.is_file()] if model.is_dir() else read(model).files
        named = [(path.name, self.digest(path)) for path in files]
        return hashlib.sha256(msgspec.json.encode(named)).hexdigest()


def require_there(steps: Iterable[Step], kinds: Mapping[str, Kind]) -> None:
    """Raises NoSuchFile, NoSuchName for what an option names and nobody has."""
    for step in steps:
        names = kinds[step.kind].names
        for option, one in _named(step):
            where = f"{step.kind}.{option}"
            if isinstance(one, Named):
                known = names.get(option)
                if known is not None and one not in known and not Path(one).exists():
                    raise NoSuchName(path=str(one), name=where, known=", ".join(known))
            elif not one.exists():
                raise NoSuchFile(path=str(one), name=where)


def _named(step: Step) -> Iterator[tuple[str, Path | Named]]:
    """Options that are files, or may be."""
    for each in dataclasses.fields(step.options):
        value = getattr(step.options, each.name)
        for one in value if isinstance(value, tuple) else (value,):
            if isinstance(one, (Path, Named)) and str(one):
                yield each.name, one


def _paths(step: Step) -> Iterator[tuple[str, Path]]:
    for name, one in _named(step):
        if isinstance(one, Path):
            yield name, one
        elif Path(one).exists():
            yield name, Path(one)


@contextmanager
def opened(folder: Path) -> Iterator[Workshop]:
    """The work folder, for this process alone. Raises AlreadyRunning."""
    folder.mkdir(parents=True, exist_ok=True)
    with held_now(folder / LOCK) as free:
        if not free:
            raise AlreadyRunning(path=str(folder), process=_running(folder))
        write_whole(folder / RUNNING, str(os.getpid()).encode())
        yield Workshop(folder)


def _running(folder: Path) -> str:
    try:
        return (folder / RUNNING).read_text()
    except OSError:
        return "?"


def remove(folder: Path) -> None:
    """The work is done and its result is elsewhere."""
    shutil.rmtree(folder, ignore_errors=True)
