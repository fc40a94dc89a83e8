"""The step `vocabulary`: words of a language join the tokenizer.

Does not know: how pieces are learned (`shrink.vocabulary`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated

import msgspec

from penjing.errors import SettingError
from penjing.shrink.regime import Regime
from penjing.shrink.steps.kind import Kind, Made, Named, Outlook, Pace, Work
from penjing.shrink.steps.training import FORWARD_AND_BACK, TRAINED_BYTES, USUAL_LENGTH, data_of, found
from penjing.shrink.texts.known import FILES
from penjing.shrink.vocabulary.grow import MOST, SIZE


@dataclass(frozen=True)
class Vocabulary:
    """At most `size` tokens for the language of `texts`; characters of the `old` texts are no part of them. Their rows
    are trained alone for `steps` steps at the peak `rate`."""

    texts: tuple[Named, ...] = ()
    size: Annotated[int, msgspec.Meta(ge=1, le=MOST)] = SIZE
    old: tuple[Named, ...] = ()
    steps: Annotated[int, msgspec.Meta(ge=0)] = 0
    rate: float | None = None

    def __post_init__(self) -> None:
        if not self.texts:
            raise SettingError(name="texts", value=[], wanted="text of the language", source="")


def run(work: Work, options: Vocabulary) -> Made:
    """Goes on from the last state of a training that was stopped."""
    from penjing.shrink import extra
    from penjing.shrink.texts.known import texts
    from penjing.shrink.vocabulary import embeddings
    from penjing.shrink.vocabulary.grow import grow

    given = [text for name in options.texts for text in texts(name)]
    old = [text for name in options.old for text in texts(name)]
    if not options.steps:
        done = grow(work.model, given, work.output, options.size, old=old, report=work.report)
    else:
        extra.require()
        done, _ = embeddings.grow_and_train(
            work.model,
            given,
            work.output,
            options.size,
            options.steps,
            rate=options.rate,
            old=old,
            resume=embeddings.unfinished(work.output),
            report=work.report,
        )
    return Made(work.output, {**found(done.manifest.recipe), "added": done.added}, data_of(done.manifest.recipe))


def foresee(before: Outlook, options: Vocabulary, pace: Pace) -> Outlook:
    """New rows in the table of words, and in the head where it has its own."""
    model = before.model
    rows = (
        options.size * model.embedding * (2 if any(tensor.name == "output.weight" for tensor in model.tensors) else 1)
    )
    grown = replace(model, parameters=model.parameters + rows, vocabulary=model.vocabulary + options.size)
    size = round(before.bytes * grown.parameters / max(model.parameters, 1))
    tables = rows * grown.vocabulary // options.size
    states = Regime().room(TRAINED_BYTES * tables) if options.steps else 0
    effort = FORWARD_AND_BACK * model.parameters * max(options.steps * 8, 1) * USUAL_LENGTH
    time = pace.time("vocabulary", effort, "train")
    room = 2 * size + states
    return before.then(model=grown, bytes=size, exact=False, loss=None, effort=effort, seconds=time, room=room)


VOCABULARY = Kind(
    "vocabulary",
    "Adding words",
    Vocabulary,
    run,
    foresee,
    takes=("checkpoint",),
    gives="checkpoint",
    words=True,
    libraries=("tokenizers",),
    names={"texts": FILES, "old": FILES},
)
