"""A recipe is run: step after step, each kept as it ends, so that a stopped or killed run goes on; then the result, its
manifest and its report take their place together.

Does not know: the store, how a GGUF file is made of a checkpoint, what steps do.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import msgspec

from penjing import manifest
from penjing.files import held, require_room
from penjing.manifest import Manifest
from penjing.probe import model as probe
from penjing.progress import Report
from penjing.shrink import lineage
from penjing.shrink.course import Course, Leg
from penjing.shrink.output import require_free, sweep, whole_folder
from penjing.shrink.planning import Plan
from penjing.shrink.qat.layout import Layout
from penjing.shrink.recipe import Recipe, Step, text, values
from penjing.shrink.steps.kind import Convert, Kind, Made, Work
from penjing.shrink.work import DIGESTS, KEY_LENGTH, Done, Place, Workshop, opened, remove

CONVERTED = "converted"
Finish = Callable[["Result", Path, Callable[[Path, Report], Path]], None]
"""Puts more into the folder that becomes the output: the report. The last is `Work.gguf`."""
Deliver = Callable[["Result"], None]
"""Takes the result elsewhere before the work folder goes."""


@dataclass(frozen=True)
class Order:
    """What is to be run. `origin` is a folder or a GGUF file, `name` what the result is called, `output` a folder that
    is not there yet, `work` the folder to work in, on the same disk; an output within it is made anew. With `keep` the
    work stays."""

    origin: Path
    recipe: Recipe
    plan: Plan
    name: str
    output: Path
    work: Path
    licence: str = ""
    keep: bool = False


@dataclass(frozen=True)
class Taken:
    """One step that is done: `model` is what stands after it; `found`, `seconds`, `data` as `work.Done`; `kept` says
    that an earlier run had done it."""

    step: Step
    kind: Kind
    model: Path
    found: Mapping[str, Any]
    seconds: float
    data: Mapping[str, str]
    kept: bool


@dataclass(frozen=True)
class Result:
    """What came of it. `model` is the folder or the GGUF file, `quality` what the last evaluation found."""

    order: Order
    model: Path
    taken: tuple[Taken, ...]
    manifest: Manifest

    @property
    def quality(self) -> Mapping[str, Any]:
        """As `manifest.quality`."""
        return self.manifest.quality


def run(
    order: Order,
    kinds: Mapping[str, Kind],
    convert: Convert,
    report: Report,
    finish: Finish | None = None,
    deliver: Deliver | None = None,
    layout: Layout | None = None,
) -> Result:
    """Do what `order` says; the same order goes on where an earlier run was stopped. `report` hears of every step
    (`Journey`), and stops the run by raising: what is done is kept. `finish` writes beside the result before it takes
    its place, `deliver` hears of it while the work is still there; `layout` tells where the tensors of what `convert`
    makes stand in a checkpoint.

    Raises OutputTaken, AlreadyRunning, NoSuchFile, DiskFull and what the steps raise."""
    if order.work not in order.output.parents:
        require_free(order.output)
    with opened(order.work) as shop:
        if order.work in order.output.parents:
            shutil.rmtree(order.output, ignore_errors=True)
        sweep(order.output)
        gguf = Converted(shop.folder / CONVERTED, convert)
        taken = _steps(order, kinds, gguf, layout, report, shop)
        result = _placed(order, taken, finish, gguf)
        if deliver is not None:
            deliver(result)
        if not order.keep:
            remove(order.work)
    return result


def done_before(order: Order) -> frozenset[int]:
    """Which steps an earlier run of the same order has done. Raises NoSuchFile, ModelNotFound, ModelCorrupt."""
    if not (order.work / DIGESTS).is_file():
        return frozenset()
    places = _places(order, Workshop(order.work))
    return frozenset(at for at, (place, _) in enumerate(places) if place.done() is not None)


def _steps(
    order: Order,
    kinds: Mapping[str, Kind],
    gguf: Converted,
    layout: Layout | None,
    report: Report,
    shop: Workshop,
) -> list[Taken]:
    places = _places(order, shop)
    missing = [at for at, (place, _) in enumerate(places) if place.done() is None]
    room = sum(order.plan.steps[at].after.room for at in missing)
    require_room(order.work, room - held(gguf.folder) - sum(held(places[at][0].folder) for at in missing))
    legs = [Leg(kinds[step.kind].about, order.plan.steps[at].after.seconds.likely) for at, step in _listed(order)]
    for at in set(range(len(legs))) - set(missing):
        legs[at] = replace(legs[at], seconds=0.0)
    course = Course(legs, report)
    taken: list[Taken] = []
    model = teacher = order.origin
    for at, step in _listed(order):
        place, data = places[at]
        done = place.done()
        kept = done is not None
        if done is None:
            work = Work(model, order.origin, teacher, place.output, place.scratch, course.step(at), gguf, layout)
            done = _do(kinds[step.kind], step, work, place, data)
        model = place.folder / done.model if done.model else model
        teacher = model if kinds[step.kind].words else teacher
        taken.append(Taken(step, kinds[step.kind], model, done.found, done.seconds, done.data, kept))
    return taken


@dataclass(frozen=True)
class Converted:
    """Models as GGUF files, each made once in `folder`."""

    folder: Path
    convert: Convert

    def __call__(self, model: Path, report: Report) -> Path:
        """`model` itself where it is a file; of a folder that has changed meanwhile another one is made."""
        if not model.is_dir():
            return model
        files = [
            (str(path.resolve()), path.stat().st_size, path.stat().st_mtime_ns) for path in probe.read(model).files
        ]
        name = hashlib.sha256(repr(files).encode()).hexdigest()[:KEY_LENGTH]
        target = self.folder / f"{name}.gguf"
        return target if target.is_file() else self.convert(model, target, report)


def _listed(order: Order) -> Sequence[tuple[int, Step]]:
    return tuple(enumerate(order.recipe.steps))


def _places(order: Order, shop: Workshop) -> list[tuple[Place, dict[str, str]]]:
    """Where each step works, and the digests of the files it reads; what is missing is told before anything begins."""
    key, found = shop.origin(order.origin), []
    for step in order.recipe.steps:
        data = shop.data(step)
        key, place = shop.place(key, step, data)
        found.append((place, data))
    return found


def _do(kind: Kind, step: Step, work: Work, place: Place, data: Mapping[str, str]) -> Done:
    before, begun = place.begin(), time.monotonic()
    try:
        made: Made = kind.run(work, step.options)
    except BaseException:
        place.spent(before + time.monotonic() - begun)
        raise
    changed = made.model if made.model != work.model else None
    return place.finish(changed, made.found, before + time.monotonic() - begun, {**made.data, **data})


def _placed(order: Order, taken: Sequence[Taken], finish: Finish | None, gguf: Converted) -> Result:
    """The result in its place, with all that belongs to it."""
    model = taken[-1].model
    with whole_folder(order.output) as folder:
        if model.is_dir():
            _linked(model, folder)
            inside = folder
        else:
            inside = folder / f"{order.name}.gguf"
            _link(model, inside)
        described = _describe(order, taken, inside)
        if finish is not None:
            finish(Result(order, inside, tuple(taken), described), folder, gguf)
        files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
        described = msgspec.structs.replace(described, files=tuple(manifest.describe(path, folder) for path in files))
        manifest.save(described, folder)
    here = order.output if model.is_dir() else order.output / inside.name
    return Result(order, here, tuple(taken), described)


def _linked(source: Path, target: Path) -> None:
    for path in sorted(source.rglob("*")):
        if path.is_file() and path.name != manifest.NAME:
            place = target / path.relative_to(source)
            place.parent.mkdir(parents=True, exist_ok=True)
            _link(path, place)


def _link(source: Path, target: Path) -> None:
    """The same file under another name, which takes no room; a copy where the disk knows no such thing."""
    try:
        os.link(source.resolve(), target)
    except OSError:
        shutil.copyfile(source, target)


def _describe(order: Order, taken: Sequence[Taken], model: Path) -> Manifest:
    facts = probe.read(model)
    before = lineage.parent_manifest(order.origin)
    earlier = before.recipe.get("steps", []) if before else []
    steps = [*(earlier if isinstance(earlier, list) else []), *(entry(each) for each in taken)]
    recipe: dict[str, object] = {"steps": steps, "text": text(order.recipe), "foreseen": order.plan.figures()}
    if lineage.forbids_derivatives(order.licence):
        recipe["licence_forbids_derivatives"] = True
    return Manifest(
        name=order.name,
        version="1",
        licence=order.licence,
        facts={
            "architecture": facts.architecture,
            "parameters": facts.parameters,
            "context": facts.context,
            "quantization": facts.quantization,
            "bits_per_weight": round(facts.bits_per_weight, 3),
            "bytes": sum(path.stat().st_size for path in facts.files),
        },
        parent=lineage.parent_digest(order.origin),
        recipe=recipe,
        quality=next((dict(each.found) for each in reversed(taken) if each.kind.measures), {}),
    )


def entry(taken: Taken) -> dict[str, object]:
    """A step as it stands in a manifest."""
    options = values(taken.step)
    libraries = tuple(taken.kind.libraries)
    found = {} if taken.kind.measures else taken.found
    step = lineage.Step(taken.step.kind, options, options.pop("seed", None), taken.data, found, libraries=libraries)
    return {**step.entry(), "seconds": round(taken.seconds, 3)}
