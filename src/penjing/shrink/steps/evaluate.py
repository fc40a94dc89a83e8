"""The step `evaluate`: what the model is worth now, against the one that the recipe began with.

Does not know: how anything is measured (`shrink.evaluate`).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated

import msgspec

from penjing.progress import span
from penjing.shrink.evaluate import questions
from penjing.shrink.evaluate.wanted import usual
from penjing.shrink.steps.kind import Kind, Made, Named, Outlook, Pace, Work
from penjing.shrink.texts.known import FILES

CONVERTING = 0.1
"""Of the time, for each of the two that may have to become GGUF files."""
OWN = "yardstick.jsonl"
"""Questions that a model brings along, among its files."""
TASKS = ("yardstick", "general")
"""Those that are built in (`evaluate.tasks.BUILT_IN`)."""
WINDOW = 512
"""Tokens that are read at once."""
BUILT_IN = 2
"""Texts, where none are named: one in each language."""
ANSWER = 60
"""Tokens of a question and of its answer, about."""
ANSWERING = 8
"""How much longer a token takes that is written than one that is read, where several are written together."""


@dataclass(frozen=True)
class Evaluate:
    """`texts` are files of held-out text or built-in ones, `tasks` are `yardstick` or files of questions; none are the
    built-in texts that suit the model, and the questions that lie beside it. Of each text at most `windows` windows are
    read (by the model's size where not given), of each task at most `questions` are asked. The same `seed` gives the
    same intervals."""

    texts: tuple[Named, ...] = ()
    tasks: tuple[Named, ...] = ()
    windows: Annotated[int, msgspec.Meta(ge=2)] | None = None
    questions: Annotated[int, msgspec.Meta(ge=1)] = 200
    seed: int = 0


def run(work: Work, options: Evaluate) -> Made:
    """Nothing is changed; `found` is `Quality.document()`."""
    from penjing.probe import single
    from penjing.shrink.evaluate.run import OtherTokenizer, evaluate
    from penjing.shrink.evaluate.tasks import task
    from penjing.shrink.texts.known import texts

    model = work.gguf(work.model, span(work.report, 0.0, CONVERTING))
    parent = work.gguf(work.origin, span(work.report, CONVERTING, 2 * CONVERTING))
    measured = partial(
        evaluate,
        model,
        texts=[each for name in options.texts for each in texts(name)] if options.texts else None,
        tasks=[each for name in names(options, work.origin) for each in task(name, options.questions)],
        most_windows=options.windows or usual(single.read(parent).parameters),
        seed=options.seed,
        report=span(work.report, 2 * CONVERTING, 1.0),
    )
    try:
        found = measured(parent)
    except OtherTokenizer:  # words were added: predictions cannot be compared, answers still count
        found = measured(None)
    seen = (*(found.parts or (found.text,)), *found.tasks)
    return Made(work.model, found.document(), {each.name: each.digest for each in seen if each is not None})


def own(model: Path) -> Path:
    """Where the questions of a model lie."""
    return (model if model.is_dir() else model.parent) / OWN


def names(options: Evaluate, model: Path) -> tuple[str, ...]:
    """The tasks: those that are named, else what `model` brings along."""
    return options.tasks or tuple(str(path) for path in (own(model),) if path.is_file())


def foresee(before: Outlook, options: Evaluate, pace: Pace) -> Outlook:
    """Both models read the same, and answer one token after the other. Raises NotAYardstick: hours of work shall not
    end at a question that cannot be read."""
    from penjing.shrink.evaluate.tasks import HARNESS

    asked = names(options, before.model.path)
    for path in map(Path, asked):
        if path.is_file() and path.suffix.lower() not in HARNESS:
            questions.read(path)
    windows = options.windows or usual(before.model.parameters)
    read = windows * (len(options.texts) or BUILT_IN) * WINDOW
    effort = 2.0 * 2.0 * before.model.parameters * (read + options.questions * len(asked) * ANSWER * ANSWERING)
    files = 2 * before.model.parameters * 2 if before.form == "checkpoint" else 0
    return before.then(effort=effort, seconds=pace.time("evaluate", effort, "read"), room=files)


EVALUATE = Kind(
    "evaluate",
    "Measuring what was lost",
    Evaluate,
    run,
    foresee,
    looks=True,
    measures=True,
    libraries=("xllamacpp",),
    names={"texts": FILES, "tasks": TASKS},
)
