"""When engines are put to rest. Spans are short; nothing depends on how long they take."""

from __future__ import annotations

import asyncio
import math
from typing import Any

from penjing.engines.fake import Fake
from penjing.gateway.rest import Rests


class Sleeper(Fake):
    """An engine that counts how often it rests."""

    rested = 0

    async def rest(self) -> None:
        self.rested += 1


def rests() -> tuple[Sleeper, Rests]:
    engine: Any = Sleeper()
    return engine, Rests({"m": engine, "away": Fake()}, lambda name: False)


async def until_rested(engine: Sleeper, times: int) -> None:
    while engine.rested < times:
        await asyncio.sleep(0.001)


async def test_what_was_said_last_goes_on_for_those_who_say_nothing() -> None:
    engine, rest = rests()
    rest.used("m", None)
    assert (rest.until("m"), rest.told("m")) == (None, False)
    rest.used("m", 100)
    rest.used("m", None)
    left = rest.until("m")
    assert left is not None
    assert 99 < left <= 100
    rest.used("m", 0.001)
    await until_rested(engine, 1)
    rest.used("m", None)
    await until_rested(engine, 2)
    rest.used("m", math.inf)
    assert rest.until("m") is None
    rest.close()


async def test_at_once_is_said_once() -> None:
    engine, rest = rests()
    rest.used("m", 0)
    await until_rested(engine, 1)
    rest.used("m", None)
    assert rest.until("m") is None


async def test_who_works_is_not_put_to_rest() -> None:
    engine: Any = Sleeper()
    answers = iter([True, True, False])
    rest = Rests({"m": engine}, lambda name: next(answers))
    rest.used("m", 0)
    await until_rested(engine, 1)
    assert next(answers, None) is None  # it was looked at until it did not work


async def test_an_engine_elsewhere_does_not_rest() -> None:
    _, rest = rests()
    rest.used("away", 0)
    assert rest.until("away") is None
