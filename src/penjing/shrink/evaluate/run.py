"""From a model (and the one it was made from) to what it is worth: perplexity, divergence, right answers, size.

    evaluate(model, parent, texts=texts, tasks=tasks) -> Quality

Does not know: names in the store, conversions, speed (whoever can start engines adds it).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from penjing.errors import InputError
from penjing.native.model import Model
from penjing.probe import model as probe
from penjing.progress import Progress
from penjing.shrink.evaluate.engine import Engine, engines
from penjing.shrink.evaluate.measure import measure, text_quality
from penjing.shrink.evaluate.quality import Quality, TaskQuality, TextQuality
from penjing.shrink.evaluate.statistics import estimate
from penjing.shrink.texts.known import HELD_OUT, YARDSTICK, builtin
from penjing.shrink.texts.windows import CONTEXT, Windows, windows

if TYPE_CHECKING:
    from penjing.probe.facts import Model as ModelFacts
    from penjing.progress import Report
    from penjing.shrink.evaluate.tasks import Task
    from penjing.shrink.texts.text import Text


SAMPLES = (
    "<|im_start|>user\nHow do I quantize a model with penjing?<|im_end|>\n",
    "盆景让模型变小；`penjing shrink` 能做什么？",
)
"""Told apart by how they are taken apart."""


class OtherTokenizer(InputError):
    """Facts: `model`, `parent`."""

    template = "{model} and {parent} do not have the same tokens, so that their predictions cannot be compared."
    hint = "Leave --against out, or name the model that {model} was made from."
    code = "other_tokenizer"


def evaluate(
    model: Path,
    parent: Path | None = None,
    *,
    texts: Sequence[Text] | None = None,
    tasks: Sequence[Task] = (),
    context: int = CONTEXT,
    most_windows: int | None = None,
    every_token: bool = False,
    threads: int = 0,
    seed: int = 0,
    report: Report | None = None,
) -> Quality:
    """The quality of `model`, a .gguf (or the first of its shards), against `parent`, another one with the same
    tokenizer. `texts` None means the built-in held-out ones that suit the model, `()` none. At most `most_windows`
    windows of `context` tokens are read of each text. Of conversations the answers are scored, with `every_token` also
    what others say (which models are seldom trained to predict). `threads` 0 means one for each physical core. The same
    `seed` gives the same intervals. `report` cancels by raising.

    Raises ModelError, TextTooShort, WrongLanguage, OtherTokenizer, QuestionTooLong, TemplateRefuses, LibraryMissing.
    """
    facts = probe.read(model)
    parents = probe.read(parent) if parent is not None else None
    with engines(model, parent, threads) as (ours, theirs):
        if texts is None:
            texts = builtin(suiting(ours))
        work = _Work(ours, theirs, seed, report, len(texts) + len(tasks), every_token)
        parts, whole = work.texts(texts, min(context, facts.context or context), most_windows)
        answered = tuple(work.task(each) for each in tasks)
    return Quality(
        model=facts.name or model.name,
        bytes=facts.bytes,
        parameters=facts.parameters,
        bits_per_weight=facts.bits_per_weight,
        text=whole,
        parts=parts if len(parts) > 1 else (),
        tasks=answered,
        **_of_parent(parents),
    )


def _of_parent(facts: ModelFacts | None) -> dict[str, Any]:
    """What is told of it; nothing where there is none."""
    if facts is None:
        return {"parent": "", "parent_bytes": 0, "parent_bits_per_weight": 0.0}
    name = facts.name or facts.path.name
    return {"parent": name, "parent_bytes": facts.bytes, "parent_bits_per_weight": facts.bits_per_weight}


def suiting(engine: Engine) -> str:
    """The built-in text to judge a model by: the guide, and what is made from it, know little of what others know. They
    are known by their vocabulary."""
    ours = Path(str(resources.files("penjing") / "data" / "guide" / "guide.gguf"))
    if not ours.is_file():
        return HELD_OUT
    with Model(ours, vocabulary_only=True) as guide:
        same = engine.vocabulary >= guide.vocabulary_size and all(
            engine.tokenize(each, special=True) == guide.tokenize(each, special=True, begin=False) for each in SAMPLES
        )
    return YARDSTICK if same else HELD_OUT


class _Work:
    """Both models, and how far the work is."""

    def __init__(
        self, ours: Engine, theirs: Engine | None, seed: int, report: Report | None, parts: int, every: bool
    ) -> None:
        self.every = every
        self.ours, self.theirs, self.seed, self.report = ours, theirs, seed, report
        self.parts, self.done = max(parts, 1), 0

    def _told(self, stage: str, begin: float = 0.0, end: float = 1.0) -> Report:
        """Reports of a part of this part."""

        def told(share: float) -> None:
            if self.report is not None:
                self.report(Progress((self.done + begin + (end - begin) * share) / self.parts, stage))

        return lambda progress: told(progress.fraction)

    def texts(
        self, texts: Sequence[Text], context: int, most: int | None
    ) -> tuple[tuple[TextQuality, ...], TextQuality | None]:
        """Each alone, and all together."""
        cut = [self._windows(text, context, most) for text in texts]
        if self.every:
            cut = [replace(each, written=np.ones_like(each.written)) for each in cut]
        scores = []
        for each in cut:
            scores.append(measure(self.ours, self.theirs, each, self._told("evaluating")))
            self.done += 1
        if not cut:
            return (), None
        parts = tuple(
            text_quality([each], [found], each.name, self.seed) for each, found in zip(cut, scores, strict=True)
        )
        return parts, text_quality(cut, scores, ", ".join(each.name for each in cut), self.seed)

    def _windows(self, text: Text, context: int, most: int | None) -> Windows:
        """Raises OtherTokenizer where the parent reads something else."""
        ours, theirs = self.ours, self.theirs
        if theirs is None:
            return windows(text, ours, context=context, most=most)
        other = OtherTokenizer(model=ours.name, parent=theirs.name)
        if ours.vocabulary != theirs.vocabulary:
            raise other
        found = windows(text, ours, context=context, most=most)
        if not np.array_equal(found.tokens, windows(text, theirs, context=context, most=most).tokens):
            raise other
        return found

    def task(self, task: Task) -> TaskQuality:
        """What both know; the parent is asked the same questions."""
        half = 1.0 if self.theirs is None else 0.5
        first, second = self._told("answering", 0, half), self._told("answering", half)
        points = task.points(self.ours, lambda share: first(Progress(share, "")))
        theirs = task.points(self.theirs, lambda share: second(Progress(share, ""))) if self.theirs else None
        self.done += 1
        return TaskQuality(
            name=task.name,
            digest=task.digest,
            metric=task.metric,
            questions=len(points),
            accuracy=estimate(points, seed=self.seed),
            parent_accuracy=float(theirs.mean()) if theirs is not None else None,
            lost=estimate(theirs - points, seed=self.seed) if theirs is not None else None,
        )
