"""A task: questions that a model is asked, and the points it gets for each.

    yardstick      the built-in guide's own
    general        a few that any model may be asked
    FILE.jsonl     questions as `questions` reads them
    FILE.yaml      a task of lm-eval, with its data in local files (`harness`)

Questions with an answer in words are put through the chat template and answered greedily. Choices are judged by their
likelihood per byte after `Question: ... Answer:` (lm-eval calls that acc_norm), without the template.

Does not know: what the points are compared with.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Protocol, TypeVar

import msgspec
import numpy as np

from penjing.errors import InputError
from penjing.files import expanded
from penjing.shrink.evaluate import questions
from penjing.shrink.evaluate.engine import Engine
from penjing.shrink.evaluate.questions import MOST_TOKENS, Question
from penjing.shrink.evaluate.statistics import Floats
from penjing.shrink.texts.template import render
from penjing.shrink.texts.text import Turn

BUILT_IN = {"yardstick": ("guide", "yardstick.jsonl"), "general": ("yardstick.jsonl",)}
"""Their files, in the package's data."""
HARNESS = (".yaml", ".yml")
T = TypeVar("T")
Told = Callable[[float], None]
"""Hears which share of the questions is done; cancels by raising."""


class NoSuchTask(InputError):
    """Facts: `name`."""

    template = "There is no task '{name}' here."
    hint = "Give yardstick, general, a .jsonl file of questions, or a .yaml file of an lm-eval task."
    code = "task_not_found"


class Task(Protocol):
    """`name` for people, `metric` is how answers are judged, `digest` the SHA-256 of the questions."""

    @property
    def name(self) -> str: ...
    @property
    def metric(self) -> str: ...
    @property
    def digest(self) -> str: ...

    def points(self, engine: Engine, told: Told) -> Floats:
        """Of each question, in [0, 1]; in the same order for every model."""


@dataclass(frozen=True)
class Asked:
    """Questions from a file."""

    name: str
    questions: tuple[Question, ...]

    @property
    def metric(self) -> str:
        """`answer`, `choice`, or both."""
        kinds = ("choice" if each.choices else "answer" for each in self.questions)
        return ", ".join(sorted(set(kinds)))

    @property
    def digest(self) -> str:
        """SHA-256 in hex of the questions."""
        return hashlib.sha256(msgspec.json.encode(self.questions)).hexdigest()

    def points(self, engine: Engine, told: Told) -> Floats:
        """1 where it is right, else 0. Raises QuestionTooLong, TemplateRefuses."""
        found = np.zeros(len(self.questions))
        asked = [number for number, each in enumerate(self.questions) if not each.choices]
        chosen = [number for number, each in enumerate(self.questions) if each.choices]
        prompts = [prompt(engine, self.questions[number]) for number in asked]
        count = len(self.questions)
        answers = engine.answers(prompts, MOST_TOKENS, told=lambda done: told(done / count)) if prompts else []
        for number, answer in zip(asked, answers, strict=True):
            found[number] = self.questions[number].right(answer)
        for done, number in enumerate(chosen):
            told((len(asked) + done) / count)
            found[number] = choice(engine, self.questions[number]) == self.questions[number].meant
        return found


def prompt(engine: Engine, question: Question) -> list[int]:
    """The tokens after which the model answers; plain words for a model without a chat template."""
    turns = [Turn(each.role, each.content) for each in question.asked]
    if engine.template:
        text = render(engine.template, turns, bos=engine.bos_text, eos=engine.eos_text, answer=True)
    else:
        text = _plain("\n".join(each.content for each in turns))
    return engine.begun(engine.tokenize(text, special=bool(engine.template)))


def choice(engine: Engine, question: Question) -> int:
    """The number of the choice that is the likeliest per byte."""
    given = _plain("\n".join(each.content for each in question.asked))
    pairs = [parted(engine, given, " " + each) for each in question.choices]
    likely = [found for found, _ in engine.likelihoods(pairs)]
    sizes = [max(len(each.encode()), 1) for each in question.choices]
    return int(np.argmax([each / size for each, size in zip(likely, sizes, strict=True)]))


def parted(engine: Engine, given: str, then: str) -> tuple[list[int], list[int]]:
    """The tokens of `given` and those of `then` behind it, read as one text (a token that spans both belongs to
    `then`)."""
    whole = engine.begun(engine.tokenize(given + then, special=False))
    first = engine.begun(engine.tokenize(given, special=False))
    same = next((at for at, pair in enumerate(zip(first, whole, strict=False)) if pair[0] != pair[1]), len(first))
    same = max(1, min(same, len(whole) - 1))
    return whole[:same], whole[same:]


def _plain(question: str) -> str:
    return f"Question: {question}\nAnswer:"


def task(name: str, most: int | None = None) -> Sequence[Task]:
    """The task (lm-eval: the tasks) of that name, of at most `most` questions, drawn evenly from all. Raises
    NoSuchTask, NotAYardstick, and what `harness.tasks` raises."""
    path = expanded(name)
    if path.suffix.lower() in HARNESS or (path.is_dir() and any(path.glob("*.y*ml"))):
        from penjing.shrink.evaluate.harness import tasks

        return tasks(path, most)
    if path.is_file():
        return [Asked(path.name, evenly(questions.read(path), most))]
    if name in BUILT_IN:
        ours = Path(str(resources.files("penjing") / "data")).joinpath(*BUILT_IN[name])
        return [Asked(name, evenly(questions.read(ours), most))]
    raise NoSuchTask(name=name)


def evenly(whole: Sequence[T], most: int | None) -> tuple[T, ...]:
    """`most` of them, as far apart from each other as can be.

    >>> evenly("abcdef", 3)
    ('a', 'c', 'e')
    """
    if most is None or most >= len(whole):
        return tuple(whole)
    return tuple(whole[number * len(whole) // most] for number in range(most))
