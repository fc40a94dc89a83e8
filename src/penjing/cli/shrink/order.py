"""What is to be shrunk and where the result goes; and what the store and the maker of GGUF files, which shrinking does
not know, do for it.

Does not know: what is printed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec

from penjing.errors import InputError, ModelError
from penjing.files import home
from penjing.plan import place
from penjing.plan.said import Said
from penjing.probe import calibrate, machine
from penjing.probe import model as probe
from penjing.probe.calibrate import Calibration
from penjing.probe.facts import Model
from penjing.probe.tensor import Tensor
from penjing.progress import Report
from penjing.shrink import lineage, pace, recipe
from penjing.shrink.planning import Wish, filled, foresee, plan, remark_on_licence, standing
from penjing.shrink.run import Order, Result, done_before, run
from penjing.shrink.steps.compare import COMPARE
from penjing.shrink.steps.kind import Kind, Outlook
from penjing.shrink.steps.table import kinds
from penjing.shrink.work import require_there
from penjing.store import names, resolve
from penjing.store.version import Version

SMALL = "-small"
LETTERS = 12
"""Of a digest that tells the work on one model from that on others."""


class NoModel(InputError):
    """Facts: none."""

    template = "Which model shall be made smaller was not said."
    hint = 'Name it: penjing shrink MODEL --to 1.5GB, or in the recipe: [model] name = "guide"'
    code = "no_model"


@dataclass(frozen=True)
class Ordered:
    """`order` as the run takes it; `model` as the person named it, `kept` whether the result becomes a version of the
    store; `remarks` are to be told before it begins; `done` are the steps that an earlier run has done."""

    order: Order
    model: str
    kept: bool
    kinds: Mapping[str, Kind]
    calibration: Calibration
    remarks: tuple[Said, ...]
    done: frozenset[int]


@dataclass(frozen=True)
class Carried:
    """What came of it. `version` where the store has it now."""

    result: Result
    version: Version | None


def order(
    model: str | None, wish: Wish, file: Path | None, output: Path | None, name: str | None, *, compare: bool = False
) -> Ordered:
    """Everything that is known before anything is written. Raises NoModel, ModelNotFound, ModelCorrupt, NotARecipe and
    what else is wrong with a recipe, and what planning raises."""
    known = kinds()
    written = recipe.load(file, known) if file is not None else None
    model = model or (written.model if written is not None else "")
    if not model:
        raise NoModel()
    origin = source(model)
    calibration = _calibration()
    speed = pace.pace(calibration)
    before = outlook(probe.read(origin))
    steps = filled(written, wish, known) if written is not None else plan(wish, before, known, speed)
    if compare and not any(step.kind == COMPARE.name for step in steps.steps):
        steps = replace(steps, steps=(*steps.steps, recipe.made(COMPARE)))
    require_there(steps.steps, known)
    foreseen = foresee(steps, before, known, speed)
    if origin.is_dir() and any(known[step.kind].gives == "gguf" or known[step.kind].looks for step in steps.steps):
        require_converter(origin)
    called = names.suggested(name or (output.name if output else bare(model) + SMALL))
    work = _work(output, origin, called)
    licence = licence_of(model, origin)
    forbidden = lineage.forbids_derivatives(licence)
    wanted = Order(origin, steps, foreseen, called, output or work / "result", work, licence)
    return Ordered(
        wanted,
        model,
        output is None,
        known,
        calibration,
        ((remark_on_licence(licence),) if forbidden else ()) + foreseen.remarks,
        done_before(wanted),
    )


def source(model: str) -> Path:
    """The checkpoint folder or GGUF file of a MODEL; one that is not here yet is fetched where a person wants that.
    Raises NotHere, ModelNotFound, Distrusted, NotWhileSealed."""
    from penjing.cli.fetching import found as fetched
    from penjing.cli.local import care
    from penjing.cli.model import NotHere, is_url
    from penjing.store.admitting import of_version, require_admitted
    from penjing.store.seal.faults import NotWhileSealed
    from penjing.store.versions import Store

    if model == resolve.GUIDE:
        return resolve.guide().parent
    if is_url(model):
        raise NotHere(model=model)
    found = fetched(model, None, care({}))
    if found.kind == "sealed":
        raise NotWhileSealed(option="shrink", model=model, detail="a smaller copy would lie on disk unsealed.")
    path = Store().path(found.version) if found.version is not None else found.source
    require_admitted(of_version(found.version) if found.version is not None else path)
    return path.parent if path.suffix == ".safetensors" else path


def outlook(model: Model) -> Outlook:
    """How things stand before the first step; of a checkpoint, under the names that it has in a GGUF file where penjing
    knows them."""
    from penjing.export.gguf import convert
    from penjing.shrink.container import pack
    from penjing.shrink.quantize.write import kept

    if model.format == "gguf":
        return standing(model, "gguf", sum(map(len, kept(model))))
    with suppress(ModelError):
        if convert.supported(model.path):
            made = convert.plan(model.path, 16)
            infos = [flow.info for flow in made.flows]
            named = tuple(Tensor(info.name, info.shape, info.type, 0, info.bytes) for info in infos)
            size = sum(map(len, pack(made.metadata)))
            return standing(replace(model, format="gguf", tensors=named), "checkpoint", size)
    return standing(model, "checkpoint")


def bare(model: str) -> str:
    """What a result is named after: the last part of a path or address, without tag and version."""
    last = model.rstrip("/").rpartition("/")[2].removesuffix(".gguf")
    return last.partition("@")[0].partition(":")[0] or "model"


def licence_of(model: str, origin: Path) -> str:
    """As its manifest, its card, its header or the catalogue says; empty where nobody does."""
    from penjing.sources import catalogue

    found = lineage.licence(origin) or str(probe.read(origin).metadata.get("general.license", ""))
    if not found and catalogue.known(model):
        found = catalogue.find(model).licence
    return found


def carry_out(ordered: Ordered) -> Carried:
    """Do it, with a bar and a report; where it goes into the store it does so before the work is removed."""
    from penjing.cli.progress import shown
    from penjing.cli.shrink.pages import report as page
    from penjing.export.gguf.convert import layout

    versions: list[Version] = []

    def deliver(result: Result) -> None:
        for at, each in enumerate(result.taken):
            if not each.kept:
                effort = ordered.order.plan.steps[at].after.effort
                pace.learn(ordered.calibration, each.step.kind, effort, each.seconds)
        if ordered.kept:
            versions.append(_stored(result))

    with shown() as report:
        result = run(ordered.order, ordered.kinds, convert, report, page(ordered, report), deliver, layout)
    version = versions[0] if versions else None
    return Carried(replace(result, model=version.path) if version else result, version)


def require_converter(folder: Path) -> None:
    """Raises UnknownArchitecture where nothing makes a GGUF file of a checkpoint."""
    from penjing.export.gguf import convert as own
    from penjing.export.gguf import upstream

    if not own.supported(folder):
        upstream.required(folder)


def convert(folder: Path, target: Path, report: Report) -> Path:
    """A checkpoint as an F16 GGUF file."""
    from penjing.export.gguf import convert as own
    from penjing.export.gguf import upstream

    make = own.convert if own.supported(folder) else upstream.convert
    make(folder, target, 16, report=report)
    return target


def _stored(result: Result) -> Version:
    from penjing.store.versions import Store

    folder = result.order.output
    files = {entry.path: folder / entry.path for entry in result.manifest.files}
    fresh = msgspec.structs.replace(result.manifest, version="")
    return Store().add(files, fresh, taking="move")


def _work(output: Path | None, origin: Path, name: str) -> Path:
    """Beside the output, so that the result is there by a rename; else among penjing's own."""
    if output is not None:
        return output.parent / f".{output.name}.shrink"
    key = hashlib.sha256(f"{origin.resolve()}\n{name}".encode()).hexdigest()[:LETTERS]
    return home() / "shrink" / f"{name}-{key}"


def _calibration() -> Calibration:
    """Of this machine; where it was never measured, that of one like it."""
    found = machine.read()
    return place.here(found, calibrate.kept(found)).calibration
