"""From a wish (a size, bits a weight, a share of the weights) or a recipe to a plan: which steps, and what is foreseen
of each: size, loss, time, room. Nothing is read but what is given.

A size is first reached by fewer bits: down to COMFORTABLE bits a weight that costs less than cutting weights away.
Below, weights are cut, as many as are needed, at most MOST of them; then bits again.

Does not know: how steps are done; files.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from penjing import amounts
from penjing.errors import InputError, ModelUnsupported
from penjing.files import human
from penjing.plan.said import Said, said
from penjing.probe.facts import Model
from penjing.shrink.quantize.faults import BudgetTooSmall
from penjing.shrink.recipe import Recipe, Step, changed, made
from penjing.shrink.steps.kind import NO_TIME, Form, Kind, Loss, Outlook, Pace, Seconds

COMFORTABLE = 3
"""Bits a weight: the published tables have a knee there (`data/quality.toml`), and what is cut away costs about as
much."""
RATIOS = tuple(step / 20 for step in range(1, 11))
"""Shares of the weights that may be cut away."""
FORMS = {"checkpoint": "a checkpoint folder (config.json and safetensors)", "gguf": "a GGUF file"}


class WrongForm(ModelUnsupported):
    """A step stands where it cannot work. Facts: `kind`, `place` (a number, from 1), `wanted`, `found` (what a model
    is there), `path`."""

    template = "Step {place} ({kind}) works on {wanted}, but the model is {found} there."
    hint = "Cut, train and add words first and quantize last; begin with the checkpoint folder of the model."
    code = "step_in_wrong_place"


class NothingToShrink(InputError):
    """Facts: `model`, `size`, `asked`."""

    template = "{model} takes {size}; that is not more than {asked} already."
    hint = "Ask for less, or say how: --bits, --ratio or --recipe."
    code = "nothing_to_shrink"


class NoWish(InputError):
    """Facts: none."""

    template = "How small it shall be was not said."
    hint = "penjing shrink MODEL --to 1.5GB, or --bits 4, or --ratio 0.3, or --recipe FILE.toml"
    code = "no_wish"


class TwoSizes(InputError):
    """Facts: none."""

    template = "--to says how many bytes the model may take, --bits how many each weight has: they cannot both hold."
    hint = "Leave one of them out."
    code = "two_sizes"


class NoSuchStepHere(InputError):
    """A wish that no step of the recipe can take, or that needs one which is not installed. Facts: `option`, `kind`."""

    template = "{option} needs a step of the kind '{kind}', and there is none."
    hint = "Add it to the recipe, or leave {option} away."
    code = "no_such_step"


@dataclass(frozen=True)
class Wish:
    """What was asked for: `to` bytes of the result, `bits` a weight, `ratio` of the weights to cut away."""

    to: int | None = None
    bits: float | None = None
    ratio: float | None = None


@dataclass(frozen=True)
class Planned:
    """A step, and how things should stand after it."""

    step: Step
    kind: Kind
    after: Outlook


@dataclass(frozen=True)
class Plan:
    """What is foreseen; `before` is how things stand."""

    before: Outlook
    steps: tuple[Planned, ...]

    @property
    def after(self) -> Outlook:
        """How things should stand at the end."""
        return self.steps[-1].after if self.steps else self.before

    @property
    def seconds(self) -> Seconds:
        """Of all steps: it rests on what the least sure one rests on."""
        total = NO_TIME
        for each in self.steps:
            one = each.after.seconds
            basis = one.basis if one.likely else total.basis
            low, likely, high = total.low + one.low, total.likely + one.likely, total.high + one.high
            total = Seconds(low, likely, high, "assumed" if "assumed" in (basis, total.basis) else "measured")
        return total

    @property
    def room(self) -> int:
        """Bytes on disk at most."""
        return sum(each.after.room for each in self.steps)

    @property
    def remarks(self) -> tuple[Said, ...]:
        """What is to be told besides."""
        told = {remark.words("en"): remark for each in self.steps for remark in each.after.remarks}
        return tuple(told.values())

    def figures(self) -> dict[str, Any]:
        """As JSON holds them; units in the names."""
        time, loss = self.seconds, self.after.loss
        return {
            "bytes_before": self.before.bytes,
            "bytes": self.after.bytes,
            "bytes_exact": self.after.exact,
            "kl_nats": interval(loss) if loss is not None else None,
            "seconds": interval(time),
            "disk_bytes": self.room,
        }


def interval(found: Loss | Seconds) -> dict[str, Any]:
    """Rounded: more digits would say more than is known."""
    figures = {name: float(f"{getattr(found, name):.3g}") for name in ("low", "likely", "high")}
    return {**figures, "basis": found.basis}


def standing(model: Model, form: Form, header: int | None = None) -> Outlook:
    """How things stand before the first step; `header` as in `Outlook`."""
    return Outlook(model, form, model.bytes + (header or 0) * (form == "gguf"), header=header)


def foresee(recipe: Recipe, before: Outlook, kinds: Mapping[str, Kind], pace: Pace) -> Plan:
    """What will come of a recipe. Raises WrongForm, BudgetTooSmall."""
    planned, now = [], before
    for place, step in enumerate(recipe.steps, 1):
        kind = kinds[step.kind]
        if now.form not in kind.takes:
            wanted, found = FORMS[kind.takes[0]], FORMS[now.form]
            raise WrongForm(kind=kind.name, place=place, wanted=wanted, found=found, path=str(before.model.path))
        now = kind.foresee(now, step.options, pace)
        planned.append(Planned(step, kind, now))
    return Plan(before, tuple(planned))


def plan(wish: Wish, before: Outlook, kinds: Mapping[str, Kind], pace: Pace) -> Recipe:
    """The steps that should do what was wished. Raises NoWish, TwoSizes, NothingToShrink, BudgetTooSmall,
    NoSuchStepHere."""
    if wish == Wish():
        raise NoWish()
    _require_one_size(wish)
    if wish.to is not None and wish.to >= before.bytes and wish.ratio is None:
        raise NothingToShrink(model=before.model.path.name, size=human(before.bytes), asked=human(wish.to))
    ratios = [wish.ratio] if wish.ratio is not None else [0.0]
    if wish.to is not None and wish.ratio is None and "prune" in kinds and before.form in kinds["prune"].takes:
        ratios += RATIOS
    found = Recipe(())
    for ratio in ratios:
        found = Recipe(tuple(_steps(wish, ratio, kinds)))
        if wish.to is None or _comfortable(ratio, wish.to, before, kinds, pace):
            return found
    try:
        foresee(found, before, kinds, pace)
    except BudgetTooSmall as error:
        if len(ratios) > 1:
            raise BudgetTooSmall(**{**error.facts, "model": before.model.path.name}) from error
        raise
    return found


def filled(recipe: Recipe, wish: Wish, kinds: Mapping[str, Kind]) -> Recipe:
    """A recipe with what the command line says in place of what it says itself. Raises NoSuchStepHere, TwoSizes,
    SettingError."""
    _require_one_size(wish)
    to = amounts.written(wish.to) if wish.to is not None else None
    wanted = (("quantize", "to", to), ("quantize", "bits", wish.bits), ("prune", "ratio", wish.ratio))
    for kind, option, value in wanted:
        if value is None:
            continue
        places = [at for at, step in enumerate(recipe.steps) if step.kind == kind]
        if not places or kind not in kinds:
            raise NoSuchStepHere(option=f"--{option}", kind=kind)
        steps = list(recipe.steps)
        other = {"to": "bits", "bits": "to"}.get(option)
        steps[places[-1]] = changed(steps[places[-1]], kinds[kind], without=other, **{option: value})
        recipe = Recipe(tuple(steps), recipe.model)
    return recipe


def _comfortable(ratio: float, to: int, before: Outlook, kinds: Mapping[str, Kind], pace: Pace) -> bool:
    """Whether COMFORTABLE bits are enough after cutting away `ratio`."""
    easy = Recipe(tuple(_steps(Wish(bits=COMFORTABLE), ratio, kinds)))
    return foresee(easy, before, kinds, pace).after.bytes <= to


def _steps(wish: Wish, ratio: float, kinds: Mapping[str, Kind]) -> Iterator[Step]:
    if ratio:
        yield made(_of(kinds, "prune", "--ratio"), ratio=ratio)
        if "distill" in kinds:
            yield made(kinds["distill"])
    if wish.to is not None:
        yield made(_of(kinds, "quantize", "--to"), to=amounts.written(wish.to))
    elif wish.bits is not None:
        yield made(_of(kinds, "quantize", "--bits"), bits=wish.bits)
    if "evaluate" in kinds:
        yield made(kinds["evaluate"])


def _require_one_size(wish: Wish) -> None:
    if wish.to is not None and wish.bits is not None:
        raise TwoSizes()


def _of(kinds: Mapping[str, Kind], name: str, option: str) -> Kind:
    if name not in kinds:
        raise NoSuchStepHere(option=option, kind=name)
    return kinds[name]


def remark_on_licence(licence: str) -> Said:
    """A warning; `licence` forbids derivatives."""
    return said(
        "The licence of this model ({licence}) forbids to pass changed copies on: keep the result to yourself, or ask "
        "those who made it. This is written into its manifest.",
        licence=licence,
    )
