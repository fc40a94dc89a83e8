"""Remembers answers, so that `POST /v1/feedback` can say what a person thought of one.

    {"id": "...", "rating": "up" or "down"}

What comes in is counted, goes into the audit log, and to whoever judges
a canary.

Does not know: what follows from it.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterable, Callable
from dataclasses import dataclass
from secrets import token_hex
from typing import Annotated

from msgspec import Meta

from penjing.gateway.answers import Answers, Given
from penjing.gateway.arms import CANARY, STABLE
from penjing.gateway.ask import Ask, Call
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
        named = _Named(lambda found: self._answers.keep(given, found))
        ask.taps.append(named)
        events = await call_next(ask)
        arm = ask.notes.get(ARM, "").partition(";")[0]
        conversation = drawn(ask) if arm in (STABLE, CANARY) else 0.0
        given = Given(id, ask.key.name, ask.model, ask.target, arm, conversation)
        self._answers.keep(given)  # before its first byte leaves: who reads quickly may say so at once
        return events


class _Named:
    """A tap that tells the id in a body."""

    def __init__(self, tell: Callable[[str], None]) -> None:
        self._tell = tell
        self._looked = False

    def __call__(self, data: bytes) -> None:
        if not self._looked:
            self._looked = True
            found = ID.search(data)
            if found:
                self._tell(found[1].decode("utf-8", "replace"))


def build(options: FeedbackOptions, house: House) -> Feedback | None:
    """The policy; None where nothing is remembered."""
    house.answers.most = options.remember
    return Feedback(house.answers) if options.remember else None


STEP = Step("feedback", FeedbackOptions, build)
