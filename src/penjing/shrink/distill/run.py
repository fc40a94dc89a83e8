"""One distillation: teacher and student loaded, the student trained, the checkpoint written.

    OUTPUT.training/    the states of a run that is not over: what --resume goes on from; removed at the end
    OUTPUT/             the student, whole or not there

Does not know: names of models, teachers that are asked over a network (`remote` makes examples of their answers).
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from penjing.manifest import Manifest, digest
from penjing.probe import checkpoint
from penjing.progress import Progress, Report
from penjing.shrink import lineage, torch_model, work
from penjing.shrink.checkpoints import Checkpoints
from penjing.shrink.distill import student as learner
from penjing.shrink.distill.options import FORWARD, Distilling
from penjing.shrink.divergence import forward, logits, reverse
from penjing.shrink.finetune import adapter, rows
from penjing.shrink.finetune.faults import Unfinished
from penjing.shrink.finetune.run import Lessons, learn, states
from penjing.shrink.finetune.turns import Counts
from penjing.shrink.lineage import Step
from penjing.shrink.output import require_free
from penjing.shrink.packing import IGNORED, Batch
from penjing.shrink.training import Objective, Outcome, Training, next_token

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Distilled:
    """What a run made. `before` and `after` are the held-out losses (None where nothing is held out): of the divergence
    from the teacher, or of the words that a remote one wrote."""

    output: Path
    outcome: Outcome
    counts: Counts
    before: float | None
    after: float | None
    manifest: Manifest


def distill(
    student: Path,
    data: Sequence[Path],
    output: Path,
    options: Distilling,
    *,
    teacher: Path | None = None,
    consent: Mapping[str, object] | None = None,
    resume: bool | Path = False,
    report: Report | None = None,
) -> Distilled:
    """Train `student` on the conversations in the files `data` to answer as the checkpoint `teacher` does, and write it
    to `output`. Without a `teacher` it learns the words of the data, which another has written (`consent` says by whose
    leave). `resume` goes on from the last state of a run that was stopped, or from the one that it names.

    Raises VocabulariesDiffer and what loading, reading examples and training raise (see `finetune`)."""
    notify = report or (lambda progress: None)
    require_free(output)
    folder = states(output)
    if not resume and Checkpoints(folder).all():
        raise Unfinished(path=str(folder), output=str(output))
    notify(Progress(0.0, "loading"))
    place = adapter.device(options.device)
    taught = torch_model.load(teacher, device=place) if teacher else None
    found = learner.load(student, taught, place, options.seed)
    learner.keep_zeros(found.model)
    apart = rows.read([options.heldout]) if options.heldout else []
    lessons = learn(found, rows.read(data), apart, options.reading)
    with work.opened(folder):
        training = Training(
            found.model,
            lessons.examples,
            options,
            objective=objective(taught.model, options) if taught else next_token,
            heldout=lessons.heldout,
            folder=folder,
            identity=_identity(student, teacher, lessons, options),
        )
        before = training.look() if lessons.heldout else None
        if resume:
            training.resume(resume if isinstance(resume, Path) else None)
        outcome = training.run(notify)
        notify(Progress(1.0, "writing"))
        after = training.look() if lessons.heldout else None
        training.model.eval()
        step = _step(lessons, options, outcome, teacher, consent, (before, after))
        made = torch_model.save(found, output, step)
    shutil.rmtree(folder, ignore_errors=True)
    return Distilled(output, outcome, lessons.counts, before, after, made)


def objective(teacher: Any, options: Distilling) -> Objective:
    """Nats that the student is from the teacher (times the square of the temperature, which keeps gradients as large;
    Hinton et al. 2015), mixed with the nats of the data's own words; summed."""
    import torch

    def loss(model: Any, batch: Batch) -> Tensor:
        found = logits(model, batch)
        with torch.no_grad():
            wanted = (logits(teacher, batch) / options.temperature).log_softmax(-1)
        warm = (found / options.temperature).log_softmax(-1)
        apart = forward(wanted, warm) if options.divergence == FORWARD else reverse(wanted, warm)
        total = (1 - options.mix) * options.temperature**2 * apart
        if options.mix:
            words = batch.labels[batch.labels != IGNORED]
            total = total + options.mix * torch.nn.functional.cross_entropy(found, words, reduction="sum")
        return total

    return loss


def _identity(student: Path, teacher: Path | None, lessons: Lessons, options: Distilling) -> dict[str, str]:
    """What a run that goes on must share."""
    told = ("divergence", "temperature", "mix", "length", "learn")
    facts = {name: str(getattr(options, name)) for name in told}
    trained = student.is_dir() and checkpoint.has_weights(student)
    page = student / checkpoint.CONFIG if student.is_dir() else student
    models = {"student": lineage.parent_digest(student)[:16] if trained else digest(page)[:16]}
    models["teacher"] = lineage.parent_digest(teacher)[:16] if teacher else ""
    data = " ".join(f"{name}:{digest[:16]}" for name, digest in lessons.data.items())
    return {**facts, **models, "data": data}


def _step(
    lessons: Lessons,
    options: Distilling,
    outcome: Outcome,
    teacher: Path | None,
    consent: Mapping[str, object] | None,
    losses: tuple[float | None, float | None],
) -> Step:
    state = outcome.state
    found = {
        "ended": outcome.why,
        "steps": state.step,
        "chosen": outcome.chosen,
        "loss": state.losses[-1] if state.losses else None,
        "before": losses[0],
        "after": losses[1],
        "seconds": round(state.seconds, 1),
        "teacher": {"name": teacher.name, "digest": lineage.parent_digest(teacher)} if teacher else {},
        "examples": asdict(lessons.counts),
    }
    given = msgspec.to_builtins(options, enc_hook=str)
    return Step("distill", given, options.seed, lessons.data, found, consent or {})
