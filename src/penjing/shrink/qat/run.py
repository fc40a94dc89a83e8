"""One quantization-aware training: a quantized file is made better, in the same types and the same number of bytes.

    OUTPUT.training/    the states of a run that is not over: what `resume` goes on from; removed at the end
    OUTPUT              the .gguf, whole or not there

Does not know: names of models, how the file that it begins with was made, how checkpoints are converted.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from penjing import manifest
from penjing.probe import single
from penjing.progress import Progress, Report
from penjing.shrink import lineage, torch_model
from penjing.shrink.distill.run import SHARED, objective
from penjing.shrink.finetune import adapter, attempt, rows
from penjing.shrink.finetune.lessons import Lessons, heldout, learn
from penjing.shrink.finetune.turns import Counts
from penjing.shrink.qat.layout import Layout
from penjing.shrink.qat.options import Refining
from penjing.shrink.qat.student import student
from penjing.shrink.qat.written import written
from penjing.shrink.training import Outcome, Training


@dataclass(frozen=True)
class Refined:
    """What a run made. `before` and `after`: mean divergence from the original on what is held out, in nats a token,
    computed by torch; None where nothing is held out. `data`: SHA-256 of what was learned from."""

    output: Path
    outcome: Outcome
    counts: Counts
    before: float | None
    after: float | None
    data: Mapping[str, str]

    @property
    def found(self) -> dict[str, Any]:
        """The same as JSON values."""
        return attempt.found(self.outcome, self.counts, before=self.before, after=self.after)


def refine(
    original: Path,
    start: Path,
    data: Sequence[Path],
    output: Path,
    options: Refining,
    *,
    layout: Layout,
    resume: bool | Path = False,
    report: Report | None = None,
) -> Refined:
    """Train the quantized file `start` to answer as the checkpoint folder `original`, of which it was made, on the
    examples in the files `data`, and write it to `output` in the types it has. `resume` goes on
    from the last state of a run that was stopped, or from the one that it names.

    Raises StartOfAnother, NotTrainable and what loading, reading examples and training raise."""
    notify = report or (lambda progress: None)
    folder = attempt.require_new(output, resume)
    notify(Progress(0.0, "loading"))
    device = adapter.device(options.device)
    teacher, loaded = (torch_model.load(original, device=device) for _ in range(2))
    teacher.model.requires_grad_(False)
    file = single.read(start)
    learner = student(loaded, file, layout(original), device)
    lessons = learn(loaded, rows.read(data), heldout(options.reading), options.reading)
    with attempt.under_way(folder):
        training = Training(
            learner.model,
            lessons.examples,
            options,
            objective=objective(teacher.model, options),
            heldout=lessons.heldout,
            folder=folder,
            identity=_identity(original, start, lessons, options),
        )
        before = attempt.held_out(training)
        outcome = attempt.run(training, resume, notify)
        after = attempt.held_out(training)
        written(learner, file, output, notify)
    return Refined(output, outcome, lessons.counts, before, after, lessons.data)


def _identity(original: Path, start: Path, lessons: Lessons, options: Refining) -> dict[str, str]:
    """What a run that goes on must share."""
    models = {"model": lineage.parent_digest(original), "start": manifest.digest(start)}
    return attempt.identity(options, SHARED, lessons.data, **models)
