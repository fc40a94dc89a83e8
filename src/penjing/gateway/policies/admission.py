"""When its turn is: a bounded, fair line before each engine (`line.py`), with deadlines and back-pressure.

An engine is handed as many requests as it works on at once (its slots) and `lookahead` more, so that it never waits for
the next; all others wait here, where one that leaves costs nothing and where the order can still change. A request
for several answers takes several places. Engines that do not say how many slots they have, remote ones, are not
limited: they say themselves when they are busy.

Who waits is told apart by key; without keys, by address. `x-penjing-deadline` (`2.5`, `2.5s`, `250ms`) is how long a
request may wait for its turn: one that cannot make it is refused at once. `x-penjing-waited` of an answer says how long
it was, in seconds.

While nobody waits this is a counter up and a counter down.

Does not know: how a turn is chosen.
"""

from __future__ import annotations

import re
import time
from collections.abc import AsyncIterable
from dataclasses import dataclass
from math import inf
from typing import Annotated

from msgspec import Meta

from penjing.errors import InvalidRequest, PenjingError
from penjing.gateway.ask import Ask, Call, Outcome
from penjing.gateway.dialects.openai import wire
from penjing.gateway.house import House
from penjing.gateway.limits.estimate import estimate
from penjing.gateway.line import UNLIMITED, Line, NoTurn, Wanted
from penjing.gateway.merge import several
from penjing.gateway.metrics import Counter, Gauge, Histogram
from penjing.gateway.policies.policy import Step
from penjing.messages import Event

DEADLINE, WAITED = "x-penjing-deadline", "x-penjing-waited"
TIME = re.compile(r"(\d{1,9}(?:\.\d{1,9})?)(ms|s)?")
WAIT_BOUNDS = (0.0, 0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0)


@dataclass(frozen=True)
class AdmissionOptions:
    """`queue`: requests that may wait for an engine; 0 switches this off. `max_wait`: seconds that one may wait; the
    SDKs of OpenAI and Anthropic give up after 600. `lookahead`: requests an engine is handed beyond those it works on
    at once."""

    queue: Annotated[int, Meta(ge=0)] = 512
    max_wait: Annotated[float, Meta(gt=0)] = 600.0
    lookahead: Annotated[int, Meta(ge=0)] = 1


class Place:
    """What one request holds of an engine."""

    __slots__ = ("_began", "_line", "_width")

    def __init__(self, line: Line, width: int) -> None:
        self._line = line
        self._width = width
        self._began = time.monotonic()

    def ended(self, outcome: Outcome) -> None:
        """The answer is over; a whole one says how long answers take."""
        self.leave(outcome.status == 200 and not outcome.code)

    def leave(self, measured: bool = False) -> None:
        width, self._width = self._width, 0
        if width:
            self._line.leave(width, time.monotonic() - self._began if measured else 0.0)


class Admission:
    """The policy."""

    def __init__(self, options: AdmissionOptions, house: House) -> None:
        self._options = options
        self._house = house
        self._lines: dict[str, Line] = {}
        self._depth = Gauge("penjing_queue_depth", "Requests waiting for their turn.", ("model",))
        self._waits = Histogram("penjing_queue_wait_seconds", "How long requests waited.", ("model",), WAIT_BOUNDS)
        self._refused = Counter("penjing_queue_refused_total", "Requests whose turn did not come.", ("model", "code"))
        house.observed.add(self._depth, self._waits, self._refused)
        house.waiting = lambda engine: len(self._lines.get(engine, ()))

    async def __call__(self, ask: Ask, call_next: Call) -> AsyncIterable[Event]:
        name = self._house.lane(self._house.named(ask.target))
        line = self._line(name)
        if line is None:
            return await call_next(ask)
        width = min(answers(ask.wire), line.capacity)
        if line.enter(width):
            self._waits.observe((name,), 0.0)
        else:
            await self._wait(ask, line, width)
        place = Place(line, width)
        ask.at_end(place.ended)
        try:
            return await call_next(ask)
        except BaseException:
            place.leave()  # whoever is before us may go on, elsewhere
            raise

    def _line(self, name: str) -> Line | None:
        """The line before an engine, as wide as the engine is now; None where it has failed or is loading, which the
        next in the chain tells."""
        try:
            slots = self._house.engines[name].capabilities.slots
        except PenjingError:
            return None
        capacity = slots + self._options.lookahead if slots else UNLIMITED
        line = self._lines.get(name)
        if line is None:
            line = self._lines[name] = Line(name, capacity, self._options.queue)
        elif line.capacity != capacity:
            line.capacity = capacity
        return line

    async def _wait(self, ask: Ask, line: Line, width: int) -> None:
        flow = ask.key.name or ask.incoming.peer
        patience = min(self._options.max_wait, deadline(ask))
        began = time.monotonic()
        self._depth.set(line.model, to=len(line) + 1)
        try:
            await line.wait(Wanted(flow, ask.key.priority, estimate(ask.wire).total, width, patience))
        except NoTurn as error:
            self._refused.add(line.model, error.code)
            raise
        finally:
            self._depth.set(line.model, to=len(line))
        waited = time.monotonic() - began
        self._waits.observe((line.model,), waited)
        ask.note(WAITED, f"{waited:.3f}")


def answers(body: wire.AnyBody) -> int:
    """How many answers are asked for at once."""
    return len(wire.prompts(body)) * (body.n or 1) if several(body) else 1


def deadline(ask: Ask) -> float:
    """Seconds that a request may wait, as it says itself. Raises InvalidRequest."""
    given = ask.header(DEADLINE.encode())
    if not given:
        return inf
    match = TIME.fullmatch(given)
    if match is None:
        raise InvalidRequest(detail=f"{DEADLINE}: '{given[:64]}' is not a time such as 2.5, 2.5s or 250ms.")
    return float(match[1]) / (1000 if match[2] == "ms" else 1)


def build(options: AdmissionOptions, house: House) -> Admission | None:
    """The policy; None where it is switched off."""
    return Admission(options, house) if options.queue else None


STEP = Step("admission", AdmissionOptions, build)
