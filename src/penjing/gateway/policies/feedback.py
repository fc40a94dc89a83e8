"""Remembers answers, so that `POST /v1/feedback` can say what a person thought of one.

    {"id": "...", "rating": "up" or "down"}

What comes in is counted, goes into the audit log, and to whoever judges
a canary.

Does not know: what follows from it.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterable
from dataclasses import dataclass
from functools import partial
from secrets import token_hex
from typing import Annotated

from msgspec import Meta

from penjing.gateway.answers import Answers, Given
from penjing.gateway.arms import CANARY, STABLE
from penjing.gateway.ask import Ask, Call, Outcome
from penjing.gateway.house import House
from penjing.gateway.policies.canary import HEADER as ARM
from penjing.gateway.policies.canary import drawn
from penjing.gateway.policies.policy import Step
from penjing.messages import Event

HEADER = "x-penjing-answer"
ID = re.compile(rb'"id"\s*:\s*"([^"\\]{1,128})"')


@dataclass(frozen=True)
class FeedbackOptions:
    """`remember`: of how many answers, the last ones; 0 switches feedback off."""

    remember: Annotated[int, Meta(ge=0)] = 4096


class Feedback:
    """The policy."""

    def __init__(self, answers: Answers) -> None:
        self._answers = answers

    async def __call__(self, ask: Ask, call_next: Call) -> AsyncIterable[Event]:
        id = f"answer-{token_hex(8)}"
        ask.note(HEADER, id)
        named = _Named()
        ask.taps.append(named)
        ask.at_end(partial(self._ended, ask, id, named))
        return await call_next(ask)

    def _ended(self, ask: Ask, id: str, named: _Named, outcome: Outcome) -> None:
        if outcome.status != 200:
            return
        arm = ask.notes.get(ARM, "").partition(";")[0]
        conversation = drawn(ask) if arm in (STABLE, CANARY) else 0.0
        self._answers.keep(Given(id, ask.key.name, ask.model, outcome.model, arm, conversation), *named.ids)


class _Named:
    """A tap that reads the id in a body."""

    def __init__(self) -> None:
        self.ids: tuple[str, ...] = ()
        self._looked = False

    def __call__(self, data: bytes) -> None:
        if not self._looked:
            self._looked = True
            found = ID.search(data)
            self.ids = (found[1].decode("utf-8", "replace"),) if found else ()


def build(options: FeedbackOptions, house: House) -> Feedback | None:
    """The policy; None where nothing is remembered."""
    house.answers.most = options.remember
    return Feedback(house.answers) if options.remember else None


STEP = Step("feedback", FeedbackOptions, build)
