"""A native library, from nothing to one that is offered.

    PENJING_HOME/cache/native/*.tar.gz       the source, kept for the next time
    PENJING_HOME/native/.work                what is being compiled; stays when it is stopped, and is gone on with
    PENJING_HOME/native/build.log            what cmake and the compiler said
    PENJING_HOME/native/NAME                 a whole library, put there at once

Does not know: command lines, who uses it.
"""

from __future__ import annotations

import dataclasses
import re
import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

from penjing.engines.building import agreement, compiling, source, tools
from penjing.engines.building.agreement import Agreement
from penjing.lock import held
from penjing.native import libraries
from penjing.native.libraries import FILE, About, Library
from penjing.native.processor import identity
from penjing.probe import machine
from penjing.progress import Progress, Report, span
from penjing.store.resolve import GUIDE, find

BITS = (8, 4)
"""The guide in these, to compare answers: the kernels of either are others."""
FETCHED, COMPILED = 0.04, 0.9
"""Shares of the whole, of which compiling is the most by far."""
VERSIONS = re.compile(r"(llama\.cpp|ggml) version: (\S+)")


@dataclass(frozen=True)
class Wanted:
    """What to make: `given` is an archive of the source that is here already, `jobs` how many compilers at once (None:
    as many as cores and memory allow), `backends` what beside the processor (None: all that the tools here can)."""

    given: Path | None = None
    jobs: int | None = None
    backends: tuple[str, ...] | None = None


def log() -> Path:
    """Where cmake's and the compiler's words go."""
    return libraries.folder() / "build.log"


def name_of(backends: Sequence[str]) -> str:
    """The name of a library: native, the version it is of, the processor, what else it was compiled for."""
    return "-".join((libraries.NATIVE, source.EDITION.version, identity()[:6], *sorted(backends)))


def existing(wanted: Wanted) -> Library | None:
    """The library that `wanted` would make, where it is here and whole."""
    backends = tools.backends() if wanted.backends is None else wanted.backends
    return libraries.read(libraries.folder() / name_of(backends))


def build(wanted: Wanted, report: Report) -> Library:
    """Make it and check it; an exception that `report` raises stops that, and the next time goes on from there. Raises
    CompilerMissing, ToolsFailed, SourceMissing, BuildFailed, Disagrees, DiskFull."""
    libraries.folder().mkdir(parents=True, exist_ok=True)
    waiting = Progress(0.0, "waiting")
    with held(libraries.folder() / ".lock", lambda: report(waiting)):
        return _build(wanted, report)


def _build(wanted: Wanted, report: Report) -> Library:
    begun = time.monotonic()
    report(Progress(0.0, "fetching"))
    kit = tools.ready()
    backends = kit.backends if wanted.backends is None else wanted.backends
    archive = source.fetched(wanted.given)
    work = libraries.folder() / ".work" / name_of(backends)
    work.mkdir(parents=True, exist_ok=True)
    code = source.unpacked(archive, work)
    made = compiling.compiled(
        code,
        work / "made",
        kit,
        log(),
        span(report, FETCHED, COMPILED),
        backends=backends,
        jobs=wanted.jobs,
    )
    place = libraries.folder() / name_of(backends)
    about = _about(kit, backends, time.monotonic() - begun)
    tried = Library(place.name, made, f"{about.source} {place.name}", about)
    found = checked(tried, span(report, COMPILED, 1.0))
    about = dataclasses.replace(about, agreement=tuple(dataclasses.asdict(each) for each in found))
    _put(made, place, about)
    shutil.rmtree(work, ignore_errors=True)
    report(Progress(1.0, "checking"))
    return Library(place.name, place / FILE, tried.version, about)


def _about(kit: tools.Tools, backends: Sequence[str], seconds: float) -> About:
    versions = dict(VERSIONS.findall(log().read_text(encoding="utf-8", errors="replace")))
    here = machine.read(gpus=False)
    return About(
        source=str(source.EDITION),
        revision=", ".join(f"{name} {version}" for name, version in versions.items()),
        processor=identity(),
        cpu=here.cpu,
        features=here.instructions,
        backends=tuple(backends),
        compiler=kit.compiler,
        built=datetime.now(timezone.utc).isoformat(timespec="seconds"),
        seconds=round(seconds, 1),
    )


def checked(library: Library, report: Report) -> list[Agreement]:
    """How it compares with the prebuilt one, on the guide. Raises Disagrees."""
    threads = machine.read(gpus=False).performance_cores
    found: list[Agreement] = []
    for place, bits in enumerate(BITS):
        part = span(report, place / len(BITS), (place + 1) / len(BITS))
        part(Progress(0.0, "checking"))
        model = find(GUIDE, bits=bits).make(None)
        found.append(agreement.compare(library, libraries.prebuilt(), model, f"{GUIDE}, {bits} bits", threads, part))
    agreement.require(library, found)
    return found


def _put(made: Path, place: Path, about: About) -> None:
    """The library and what is known of it, whole or not at all: a folder in use is replaced by renaming."""
    fresh = place.with_name(f".{place.name}.part")
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(parents=True)
    shutil.copyfile(made, fresh / FILE)
    libraries.write(fresh, about)
    old = place.with_name(f".{place.name}.old")
    shutil.rmtree(old, ignore_errors=True)
    if place.exists():
        place.replace(old)
    fresh.replace(place)
    shutil.rmtree(old, ignore_errors=True)
