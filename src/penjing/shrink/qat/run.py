"""One quantization-aware training: a quantized file is made better, in the same types and the same number of bytes.

    OUTPUT.training/    the states of a run that is not over: what `resume` goes on from; removed at the end
    OUTPUT              the .gguf, whole or not there

Does not know: names of models, how the file that it begins with was made, how checkpoints are converted.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from penjing import manifest
from penjing.probe import single
from penjing.progress import Progress, Report
from penjing.shrink import lineage, torch_model, work
from penjing.shrink.checkpoints import Checkpoints
from penjing.shrink.distill.run import objective
from penjing.shrink.finetune import adapter, rows
from penjing.shrink.finetune.faults import Unfinished
from penjing.shrink.finetune.run import Lessons, learn, states
from penjing.shrink.finetune.turns import Counts
from penjing.shrink.output import require_free
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
        state = self.outcome.state
        return {
            "ended": self.outcome.why,
            "steps": state.step,
            "chosen": self.outcome.chosen,
            "before": self.before,
            "after": self.after,
            "seconds": round(state.seconds, 1),
            "examples": asdict(self.counts),
        }


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
    require_free(output)
    folder = states(output)
    if not resume and Checkpoints(folder).all():
        raise Unfinished(path=str(folder), output=str(output))
    notify(Progress(0.0, "loading"))
    device = adapter.device(options.device)
    teacher, loaded = (torch_model.load(original, device=device) for _ in range(2))
    teacher.model.requires_grad_(False)
    file = single.read(start)
    learner = student(loaded, file, layout(original), device)
    apart = rows.read([options.heldout]) if options.heldout else []
    lessons = learn(loaded, rows.read(data), apart, options.reading)
    with work.opened(folder):
        training = Training(
            learner.model,
            lessons.examples,
            options,
            objective=objective(teacher.model, options),
            heldout=lessons.heldout,
            folder=folder,
            identity=_identity(original, start, lessons, options),
        )
        before = training.look() if lessons.heldout else None
        if resume:
            training.resume(resume if isinstance(resume, Path) else None)
        outcome = training.run(notify)
        after = training.look() if lessons.heldout else None
        written(learner, file, output, notify)
    shutil.rmtree(folder, ignore_errors=True)
    return Refined(output, outcome, lessons.counts, before, after, lessons.data)


def _identity(original: Path, start: Path, lessons: Lessons, options: Refining) -> dict[str, str]:
    """What a run that goes on must share."""
    told = ("divergence", "temperature", "mix", "length", "learn")
    facts = {name: str(getattr(options, name)) for name in told}
    models = {"model": lineage.parent_digest(original)[:16], "start": manifest.digest(start)[:16]}
    data = " ".join(f"{name}:{digest[:16]}" for name, digest in lessons.data.items())
    return {**facts, **models, "data": data}
