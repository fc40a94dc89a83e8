"""The questions of a yardstick, put to both versions of a model that is being served.

One question at a time, and only while nobody waits for these engines, so that people hardly notice. The order is drawn
from `seed`, and which version is asked first takes turns. A version that gives no answer to a question, though asked
`TRIES` times, does not know it.

Does not know: what follows.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncGenerator, Sequence

from penjing.errors import PenjingError
from penjing.gateway.dialects.openai import wire
from penjing.gateway.dialects.openai.parse import parse
from penjing.gateway.dialects.openai.rewrite import for_engine
from penjing.gateway.house import House
from penjing.operate.release.yardstick import body, said
from penjing.shrink.evaluate.questions import Question

MOST = 300
"""Questions; of more, these many are drawn."""
PATH = "/v1/chat/completions"
TRIES = 3
PAUSE = 1.0
"""Seconds between two tries."""
POLITE, SOON = 10.0, 0.1
"""Seconds a question lets people go first at most, and between two looks whether they wait."""


async def asked(
    house: House, stable: str, canary: str, questions: Sequence[Question], seed: float, begin: int = 0
) -> AsyncGenerator[tuple[bool, bool], None]:
    """Of each question from the one at `begin` on (0 is the first), whether the engine `stable` and the engine `canary`
    answered it right."""
    order = list(questions)
    random.Random(seed).shuffle(order)
    for number, question in enumerate(order[begin:MOST], begin):
        names = (stable, canary) if number % 2 else (canary, stable)
        right = {name: await _right(house, name, question) for name in names}
        yield right[stable], right[canary]


async def _right(house: House, name: str, question: Question) -> bool:
    for tried in range(TRIES):
        await _let_others_go_first(house, name)
        try:
            raw = body(question, name)
            asked = for_engine(raw, parse(raw, wire.ChatBody), house.engines[name].capabilities)
            answer = await house.post(name, PATH, asked, local_only=True)
        except (PenjingError, OSError):  # a busy or broken engine: what people meet there, other gates count
            if tried + 1 < TRIES:
                await asyncio.sleep(PAUSE)
        else:
            return question.right(said(answer))
    return False


async def _let_others_go_first(house: House, name: str) -> None:
    until = asyncio.get_running_loop().time() + POLITE
    while _waiting(house, name) and asyncio.get_running_loop().time() < until:  # noqa: ASYNC110  # lines tell nobody
        await asyncio.sleep(SOON)


def _waiting(house: House, name: str) -> bool:
    pool = house.pools.get(name)
    return house.waiting(name) > 0 or (pool is not None and pool.queued > 0)
