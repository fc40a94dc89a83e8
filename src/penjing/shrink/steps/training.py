"""The steps that train: `distill` (as the origin, or another teacher, answers) and `finetune` (on examples).

Does not know: how is trained (`shrink.training`).
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from penjing.errors import SettingError
from penjing.probe.facts import Model
from penjing.probe.model import read
from penjing.shrink.distill.options import Distilling
from penjing.shrink.finetune.options import FULL, Tuning
from penjing.shrink.regime import Regime
from penjing.shrink.steps.kind import Kind, Made, Outlook, Pace, Seconds, Work

FORWARD_AND_BACK, FORWARD = 6.0, 2.0
"""Operations for a weight and token."""
USUAL_LENGTH = 256
"""Tokens of an example, about; half of them are padding or cut off in the worst case."""
TRAINED_BYTES = 4
"""Of a number that is trained."""


@dataclass(frozen=True)
class Distill(Distilling):
    """As `Distilling`, with fewer `steps`. `data` are conversations (as of fine-tuning; none: the built-in calibration
    text), `teacher` a checkpoint folder (none: the model that the recipe began with, or what the last step left that
    added words)."""

    steps: int = 600
    data: tuple[Path, ...] = ()
    teacher: Path | None = None


@dataclass(frozen=True)
class Finetune(Tuning):
    """As `Tuning`; an adapter is merged, since the steps that follow want a model. `data` are conversations."""

    merge: bool = True
    data: tuple[Path, ...] = ()

    def __post_init__(self) -> None:
        if self.method == FULL:
            object.__setattr__(self, "merge", False)
        super().__post_init__()
        if not self.data:
            raise SettingError(name="data", value=[], wanted="the files of examples", source="")
        if self.adapts and not self.merge:
            raise SettingError(name="merge", value=False, wanted="true in a recipe", source="")


def distill(work: Work, options: Distill) -> Made:
    """Goes on from the last state of a try that was stopped."""
    from penjing.shrink import extra

    extra.require()
    from penjing.shrink.distill.run import distill as learn

    data = options.data or (builtin(),)
    done = learn(
        work.model,
        data,
        work.output,
        options,
        teacher=options.teacher or work.teacher,
        resume=begun(work.output),
        report=work.report,
    )
    return Made(work.output, found(done.manifest.recipe), data_of(done.manifest.recipe))


def finetune(work: Work, options: Finetune) -> Made:
    """Goes on from the last state of a try that was stopped."""
    from penjing.shrink import extra

    extra.require()
    from penjing.shrink.finetune.run import finetune as learn

    done = learn(work.model, options.data, work.output, options, resume=begun(work.output), report=work.report)
    return Made(work.output, found(done.manifest.recipe))


def begun(output: Path) -> bool:
    """Whether a training for `output` has kept a state."""
    from penjing.shrink.finetune import attempt

    return attempt.begun(output)


def found(recipe: dict[str, Any]) -> dict[str, Any]:
    """What the step's own manifest says of it."""
    told: dict[str, Any] = recipe["steps"][-1].get("found", {})
    return told


def data_of(recipe: dict[str, Any]) -> dict[str, str]:
    """SHA-256 of what was learned from."""
    told: dict[str, str] = recipe["steps"][-1].get("data", {})
    return told


def builtin() -> Path:
    """Conversations in English and Chinese that are never measured on."""
    return Path(str(resources.files("penjing") / "data" / "texts" / "calibration.jsonl"))


def foresee_distill(before: Outlook, options: Distill, pace: Pace) -> Outlook:
    """The teacher reads, the student learns."""
    teacher = (read(options.teacher) if options.teacher else before.model).parameters
    return _trained(before, options, pace, "distill", FORWARD_AND_BACK * before.model.parameters + FORWARD * teacher)


def foresee_finetune(before: Outlook, options: Finetune, pace: Pace) -> Outlook:
    """As many operations with an adapter as without, about: all of the model is passed."""
    return _trained(before, options, pace, "finetune", FORWARD_AND_BACK * before.model.parameters)


def _trained(before: Outlook, options: Regime, pace: Pace, kind: str, each: float) -> Outlook:
    steps = options.steps or 1
    effort = each * steps * options.batch * USUAL_LENGTH
    time = pace.time(kind, effort, "train")
    if options.minutes:
        most = 60.0 * options.minutes
        time = Seconds(min(time.low, most), min(time.likely, most), most, time.basis)
    room = before.bytes + options.room(TRAINED_BYTES * _trained_numbers(before.model, options))
    return before.then(loss=None, effort=effort, seconds=time, room=room)


def _trained_numbers(model: Model, options: Regime) -> int:
    """Those of the model, or of an adapter beside all matrices in its layers."""
    if not (isinstance(options, Tuning) and options.adapts):
        return model.parameters
    matrices = [tensor for tensor in model.tensors if len(tensor.shape) == 2 and any(map(str.isdigit, tensor.name))]
    return sum(options.rank * sum(tensor.shape) for tensor in matrices)


TORCH = ("torch", "transformers")
DISTILL = Kind(
    "distill",
    "Learning from the original",
    Distill,
    distill,
    foresee_distill,
    takes=("checkpoint",),
    gives="checkpoint",
    libraries=TORCH,
)
FINETUNE = Kind(
    "finetune",
    "Learning from examples",
    Finetune,
    finetune,
    foresee_finetune,
    takes=("checkpoint",),
    gives="checkpoint",
    libraries=(*TORCH, "peft"),
)
