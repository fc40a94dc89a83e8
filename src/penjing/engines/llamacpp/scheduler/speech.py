"""Tokens to text: letters that span tokens, stop sequences, thoughts apart from the answer.

Does not know: HTTP, where tokens come from.
"""

from __future__ import annotations

import codecs
from collections.abc import Sequence
from dataclasses import dataclass

from penjing.engines.llamacpp.scheduler.asked import STOP, Said
from penjing.engines.llamacpp.scheduler.tools import Call, Calls
from penjing.native.model import Model

THINK, THOUGHT = "<think>", "</think>"
CALLED = "tool_calls"
"""Why an answer ended (OpenAI's word)."""


@dataclass(frozen=True)
class Piece:
    """What one token adds; `finish` and `error` as in `Said`, which is `said`."""

    content: str
    reasoning: str
    said: Said
    finish: str = ""
    calls: tuple[Call, ...] = ()


class Speech:
    """The text of one answer. `stops` end it and are not shown; with `apart`, thoughts are. `thinking`: the prompt
    ended within one. `calls` takes those of functions apart; `shown` are control tokens that they are written with.
    Thoughts of more than `budget` tokens are ended: `forced` holds the text that is to be said next."""

    def __init__(
        self,
        model: Model,
        stops: Sequence[str] = (),
        *,
        apart: bool = False,
        thinking: bool = False,
        calls: Calls | None = None,
        shown: frozenset[int] = frozenset(),
        budget: int | None = None,
    ) -> None:
        self._model, self._stops = model, tuple(filter(None, stops))
        self._bytes = codecs.getincrementaldecoder("utf-8")("replace")
        self._held = ""
        self._thoughts = Thoughts(thinking) if apart else None
        self._calls, self._shown = calls, shown
        self._budget = None if budget is None else Budget(budget, thinking)

    @property
    def forced(self) -> str:
        """What must be said next; empty but for once."""
        return self._budget.forced() if self._budget else ""

    def hear(self, said: Said) -> Piece:
        """What `said` adds; its `finish` is told here where a stop sequence ends it."""
        raw = b""
        if said.token >= 0 and said.finish != STOP:
            raw = self._model.piece(said.token, special=said.token in self._shown)
        new = self._bytes.decode(raw)  # half a letter at the end is not said, as llama.cpp's server does
        if self._budget:
            self._budget.hear(new)
        text = self._held + new
        places = [at for at in (text.find(stop) for stop in self._stops) if at >= 0]
        finish = said.finish
        if places:
            text, self._held, finish = text[: min(places)], "", STOP
        elif finish:
            self._held = ""
        else:
            keep = max((overlap(text, stop) for stop in self._stops), default=0)
            text, self._held = (text[:-keep], text[-keep:]) if keep else (text, "")
        reasoning, content = self._thoughts.split(text, last=bool(finish)) if self._thoughts else ("", text)
        if self._calls is None:
            return Piece(content, reasoning, said, finish)
        content, calls = self._calls.split(content, last=bool(finish))
        if finish == STOP and self._calls.count:
            finish = CALLED
        return Piece(content, reasoning, said, finish, calls)


class Budget:
    """Counts the tokens of thoughts; they are over when `most` were said. `thinking`: the prompt ended within one."""

    def __init__(self, most: int, thinking: bool) -> None:
        self._left, self._thinking = most, thinking
        self._text = ""

    def hear(self, text: str) -> None:
        """One more token."""
        self._text = (self._text + text)[-2 * len(THOUGHT) :]
        if self._thinking:
            self._left -= 1
            if THOUGHT in self._text:
                self._thinking, self._left = False, 1 << 30
        elif self._text.lstrip().startswith(THINK):
            self._thinking, self._text = True, ""

    def forced(self) -> str:
        """The end of thoughts, once, where they have had their tokens."""
        if not self._thinking or self._left > 0:
            return ""
        self._thinking, self._left = False, 1 << 30
        return f"\n{THOUGHT}\n\n"


class Thoughts:
    """Takes what is between <think> and </think> apart from the rest, without the space around it."""

    def __init__(self, thinking: bool) -> None:
        self._state = "opened" if thinking else "start"
        self._held = ""

    def split(self, text: str, *, last: bool) -> tuple[str, str]:
        """Reasoning and content of what was held back and `text`."""
        text, self._held = self._held + text, ""
        reasoning = ""
        if self._state == "start":
            begun = text.lstrip()
            if THINK.startswith(begun) and begun != THINK and not last:
                self._held = text
                return "", ""
            self._state = "opened" if begun.startswith(THINK) else "answering"
            text = begun.removeprefix(THINK) if self._state == "opened" else text
        if self._state in ("opened", "thinking"):
            reasoning, text = self._thought(text, last=last)
        if self._state == "after":
            text = text.lstrip("\n")
            self._state = "answering" if text else "after"
        return reasoning, text

    def _thought(self, text: str, *, last: bool) -> tuple[str, str]:
        if self._state == "opened":
            text = text.lstrip()
            self._state = "thinking" if text else "opened"
        reasoning, end, text = text.partition(THOUGHT)
        if end or last:
            self._state = "after"
            return reasoning.rstrip(), text
        told = reasoning[: len(reasoning) - overlap(reasoning, THOUGHT)].rstrip()
        self._held = reasoning[len(told) :]
        return told, ""


def overlap(text: str, word: str) -> int:
    """How many letters at the end of `text` may be the beginning of `word`.

    >>> overlap("see </thi", "</think>"), overlap("see", "</think>")
    (5, 0)
    """
    return next((size for size in range(min(len(text), len(word) - 1), 0, -1) if text.endswith(word[:size])), 0)
