"""The libraries of llama.cpp on this machine, the wheel's and those compiled here, and which of them is in use.

    PENJING_HOME/native/NAME/library.so    compiled here, for one processor
    PENJING_HOME/native/NAME/about.json    what it is: `About`
    PENJING_HOME/native/used.json          processor to NAME; a home on a network disk serves several machines

Does not know: how one is compiled, whether it computes the right thing; who compiles it says so in `About`.
"""

from __future__ import annotations

import functools
import json
import sys
from dataclasses import asdict, dataclass, field, fields
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from penjing.errors import InputError, MachineError
from penjing.files import home, write_whole
from penjing.native.processor import identity

PACKAGE = "xllamacpp"
PREBUILT = "prebuilt"
NATIVE = "native"
"""Instead of the name of one: the newest of this processor."""
SUFFIXES = {".so", ".pyd", ".dylib"}
FILE = "library.dylib" if sys.platform == "darwin" else "library.so"
ABOUT, USED = "about.json", "used.json"


class NoSuchLibrary(InputError):
    """Facts: `name`, `known` (comma-separated)."""

    template = "There is no llama.cpp library '{name}' here."
    hint = "Here are: {known}. A native one is made by: penjing engine build"
    code = "no_such_library"


class LibraryForeign(MachineError):
    """Facts: `name`, `cpu` (for which it was made)."""

    template = "The library {name} was made for another processor ({cpu})."
    hint = "Make one for this machine: penjing engine build"
    code = "library_foreign"


class LibraryMissing(MachineError):
    """Facts: `detail`."""

    template = "The library inside xllamacpp cannot be used: {detail}"
    hint = "Install it again: pip install --force-reinstall xllamacpp"
    code = "library_missing"


@dataclass(frozen=True)
class About:
    """What is known of a native library. `source` names the distribution it was compiled from and its version,
    `revision` llama.cpp's own; `processor` is `processor.identity()`, `cpu` its name, `features` the instruction sets
    that are used; `backends` beside the processor (`cuda`, `metal`, `vulkan`); `built` is ISO 8601 in UTC, `seconds` is
    how long that took. `agreement` says how its answers compare with the prebuilt library's, one entry a model;
    `measured` how fast it was, as `penjing engine bench` found it."""

    source: str
    revision: str
    processor: str
    cpu: str
    features: tuple[str, ...] = ()
    backends: tuple[str, ...] = ()
    compiler: str = ""
    built: str = ""
    seconds: float = 0.0
    agreement: tuple[dict[str, Any], ...] = ()
    measured: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Library:
    """One that can be loaded: `path` of the shared object; `about` is None for the wheel's."""

    name: str
    path: Path
    version: str
    about: About | None = None

    @property
    def native(self) -> bool:
        """Whether it was compiled here."""
        return self.about is not None

    @property
    def fits(self) -> bool:
        """Whether it was made for this processor."""
        return self.about is None or self.about.processor == identity()


def folder() -> Path:
    """Where native ones are kept."""
    return home() / NATIVE


def prebuilt() -> Library:
    """The one in the wheel. Raises LibraryMissing."""
    path = _in_wheel()
    if path is None:
        raise LibraryMissing(detail=f"{PACKAGE} is not installed")
    return Library(PREBUILT, path, wheel_version())


@functools.cache
def _in_wheel() -> Path | None:
    spec = find_spec(PACKAGE)
    places = [Path(name) for name in (spec.submodule_search_locations or ())] if spec else []
    found = [path for place in places for path in sorted(place.iterdir()) if path.suffix in SUFFIXES]
    return found[0] if found else None


def wheel_version() -> str:
    """The version of the wheel; empty where it is not installed."""
    try:
        return version(PACKAGE)
    except PackageNotFoundError:
        return ""


def natives() -> tuple[Library, ...]:
    """Those compiled here, for whatever processor, the newest first; what cannot be read is left out."""
    found = [made for path in folder().glob(f"[!.]*/{ABOUT}") if (made := read(path.parent)) is not None]
    return tuple(sorted(found, key=lambda each: each.about.built if each.about else "", reverse=True))


def read(place: Path) -> Library | None:
    """The native library in the folder `place`; None where there is none that is whole."""
    try:
        told = json.loads((place / ABOUT).read_text(encoding="utf-8"))
        known = {each.name for each in fields(About)}
        told = {name: _frozen(value) for name, value in told.items() if name in known}
        about = About(**told)
    except (OSError, ValueError, TypeError, AttributeError):
        return None
    path = place / FILE
    return Library(place.name, path, f"{about.source} {place.name}", about) if path.is_file() else None


def _frozen(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def write(place: Path, about: About) -> None:
    """Keep `about` beside its library."""
    write_whole(place / ABOUT, json.dumps(asdict(about), indent=2).encode())


def find(name: str) -> Library:
    """The library `name`, or the newest native one of this processor for NATIVE. Raises NoSuchLibrary, LibraryForeign,
    LibraryMissing."""
    if name == PREBUILT:
        return prebuilt()
    made = natives()
    found = [each for each in made if each.name == name or (name == NATIVE and each.fits)]
    if not found:
        raise NoSuchLibrary(name=name, known=", ".join((PREBUILT, *(each.name for each in made))))
    if not found[0].fits:
        raise LibraryForeign(name=name, cpu=found[0].about.cpu if found[0].about else "")
    return found[0]


def in_use() -> Library:
    """The one chosen for this processor; the wheel's where none was, or it is gone. Raises LibraryMissing."""
    name = _used().get(identity(), PREBUILT) if (folder() / USED).exists() else PREBUILT
    found = read(folder() / name) if name != PREBUILT else None
    return found if found is not None and found.fits else prebuilt()


def use(name: str) -> Library:
    """From now on use the library `name` on this processor. Raises as `find`."""
    found = find(name)
    write_whole(folder() / USED, json.dumps({**_used(), identity(): found.name}, indent=2).encode())
    return found


def _used() -> dict[str, str]:
    try:
        told = json.loads((folder() / USED).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return {str(key): str(value) for key, value in told.items()} if isinstance(told, dict) else {}
