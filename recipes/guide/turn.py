"""One exchange: a question, its right answer, and what a judge looks for in it."""

from __future__ import annotations

from dataclasses import dataclass

from .facts import Fact, Key


@dataclass(frozen=True)
class Turn:
    """A question with its gold answer; `about` and `state` let a follow-up know what was spoken of."""

    question: str
    answer: str
    key: Key
    lang: str
    kind: str
    fact: str
    template: str
    reasoning: str | None = None
    about: Fact | None = None
    state: tuple[float, ...] = ()
