"""What is learned and what is measured on: examples in a model's own tokens.

Does not know: how files are read, training.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from penjing import manifest
from penjing.shrink.finetune import rows
from penjing.shrink.finetune.faults import HeldOutEmpty, TooLong
from penjing.shrink.finetune.options import Tuning
from penjing.shrink.finetune.rows import Row
from penjing.shrink.finetune.turns import Counts, Turns
from penjing.shrink.packing import Example
from penjing.shrink.torch_model import TorchModel
from penjing.shrink.training import NothingToLearn

LEAST_TO_HOLD_OUT = 40
"""Examples; of fewer none is held out unless a file says which."""


@dataclass(frozen=True)
class Lessons:
    """What is learned, what is measured on, and SHA-256 of the files it came from."""

    examples: list[Example]
    heldout: list[Example]
    counts: Counts
    data: dict[str, str]


def heldout(options: Tuning) -> list[Row]:
    """The examples that a file says are held out. Raises what reading them raises."""
    return rows.read([options.heldout]) if options.heldout else []


def learn(loaded: TorchModel, told: Sequence[Row], apart: Sequence[Row], options: Tuning) -> Lessons:
    """The examples in the model's tokens, and those that are held out: `apart`, else a share of them. Raises
    NoChatTemplate, TemplateRefusesExample, TooLong, NothingToLearn, HeldOutEmpty."""
    context = getattr(loaded.model.config, "max_position_embeddings", None) or options.length
    length = min(options.length, int(context))
    turns = Turns(loaded.tokenizer, length, options.learn)
    examples = turns.examples(told)
    paths = list(dict.fromkeys(row.path for row in (*told, *apart)))
    if not examples and turns.counts.left_out:
        raise TooLong(path=", ".join(map(str, paths)), length=length)
    if not examples:
        raise NothingToLearn
    heldout = Turns(loaded.tokenizer, length, options.learn).examples(apart)
    if apart and not heldout:
        raise HeldOutEmpty(path=str(options.heldout))
    if not apart and options.held_out and len(examples) >= LEAST_TO_HOLD_OUT:
        examples, heldout = _divided(examples, options)
    return Lessons(examples, heldout, turns.counts, {path.name: manifest.digest(path) for path in paths})


def _divided(examples: list[Example], options: Tuning) -> tuple[list[Example], list[Example]]:
    """Those that are learned and those that are not, drawn by the seed."""
    count = max(1, round(options.held_out * len(examples)))
    chosen = set(np.random.default_rng(options.seed).permutation(len(examples))[:count].tolist())
    learned = [example for index, example in enumerate(examples) if index not in chosen]
    return learned, [examples[index] for index in sorted(chosen)]
