"""One distillation: teacher and student loaded, the student trained, the checkpoint written.

    OUTPUT.training/    the states of a run that is not over: what --resume goes on from; removed at the end
    OUTPUT/             the student, whole or not there

Does not know: names of models, teachers that are asked over a network (`remote` makes examples of their answers).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from penjing.manifest import Manifest, digest
from penjing.probe import checkpoint
from penjing.progress import Progress, Report
from penjing.shrink import lineage, torch_model
from penjing.shrink.distill import student as learner
from penjing.shrink.distill.options import FORWARD, Distilling
from penjing.shrink.divergence import logits
from penjing.shrink.finetune import adapter, attempt, rows
from penjing.shrink.finetune.lessons import Lessons, heldout, learn
from penjing.shrink.finetune.turns import Counts
from penjing.shrink.lineage import Step
from penjing.shrink.packing import IGNORED, Batch
from penjing.shrink.training import Objective, Outcome, Training, next_token

if TYPE_CHECKING:
    from torch import Tensor

SHARED = ("divergence", "temperature", "mix", "length", "learn")
"""Options that a run that goes on must share with the one that was stopped."""


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
    folder = attempt.require_new(output, resume)
    notify(Progress(0.0, "loading"))
    place = adapter.device(options.device)
    taught = torch_model.load(teacher, device=place) if teacher else None
    found = learner.load(student, taught, place, options.seed)
    learner.keep_zeros(found.model)
    lessons = learn(found, rows.read(data), heldout(options.reading), options.reading)
    goal = objective(taught.model, options) if taught else next_token
    identity = _identity(student, teacher, lessons, options)
    with attempt.under_way(folder):
        training = Training(
            found.model, lessons.examples, options,
            objective=goal, heldout=lessons.heldout, folder=folder, identity=identity,
        )  # fmt: skip
        before = attempt.held_out(training)
        outcome = attempt.run(training, resume, notify)
        notify(Progress(1.0, "writing"))
        after = attempt.held_out(training)
        training.model.eval()
        step = _step(lessons, options, outcome, teacher, consent, (before, after))
        made = torch_model.save(found, output, step)
    return Distilled(output, outcome, lessons.counts, before, after, made)


def objective(teacher: Any, options: Distilling) -> Objective:
    """Nats that the student is from the teacher (times the square of the temperature, which keeps gradients as large;
    Hinton et al. 2015), mixed with the nats of the data's own words; summed."""
    import torch

    from penjing.shrink.kl import kl

    def loss(model: Any, batch: Batch) -> Tensor:
        found = logits(model, batch)
        with torch.no_grad():
            wanted = logits(teacher, batch)
        apart = kl(wanted, found, options.temperature, reverse=options.divergence != FORWARD)
        total = (1 - options.mix) * options.temperature**2 * apart
        if options.mix:
            words = batch.labels[batch.labels != IGNORED]
            total = total + options.mix * torch.nn.functional.cross_entropy(found, words, reduction="sum")
        return total

    return loss


def _identity(student: Path, teacher: Path | None, lessons: Lessons, options: Distilling) -> dict[str, str]:
    """What a run that goes on must share."""
    trained = student.is_dir() and checkpoint.has_weights(student)
    page = student / checkpoint.CONFIG if student.is_dir() else student
    learns = lineage.parent_digest(student) if trained else digest(page)
    teaches = lineage.parent_digest(teacher) if teacher else ""
    return attempt.identity(options, SHARED, lessons.data, student=learns, teacher=teaches)


def _step(
    lessons: Lessons,
    options: Distilling,
    outcome: Outcome,
    teacher: Path | None,
    consent: Mapping[str, object] | None,
    losses: tuple[float | None, float | None],
) -> Step:
    taught = {"name": teacher.name, "digest": lineage.parent_digest(teacher)} if teacher else {}
    found = attempt.found(outcome, lessons.counts, before=losses[0], after=losses[1], teacher=taught)
    given = msgspec.to_builtins(options, enc_hook=str)
    return Step("distill", given, options.seed, lessons.data, found, consent or {})
