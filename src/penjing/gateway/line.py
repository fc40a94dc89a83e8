"""The line before one engine: so many requests at work, the others wait, bounded, and fairly between who asks.

Higher priority goes first, always; who has the lower one waits until nobody of a higher one does, or its patience ends.
Within a priority the line is fair by start-time fair queuing (Goyal, Vin, Cheng 1996): a request is stamped with the
virtual time at which it would start if everybody who waits were served evenly, in tokens, and the lowest stamp goes
first. Who sends a hundred requests waits behind their own, not before others.

When the line is full, who has the most waiting in the lowest priority loses its newest to a newcomer who has fewer, or
a higher priority; otherwise the newcomer is refused. Virtual times are kept as long as somebody of a priority waits.

How long a wait will be is told from the mean time that answers took lately: a place becomes free every
`seconds / capacity`.

Does not know: requests, keys, engines.
"""

from __future__ import annotations

import asyncio
from bisect import bisect_left, insort
from math import ceil, inf
from typing import NamedTuple

from penjing.errors import EngineBusy

LATEST = 1 / 8
"""How much the latest answer counts in the mean time that answers take."""
UNLIMITED = 1 << 30
FORGET = 64
"""Flows beside those that wait whose last stamps are kept before the useless ones are thrown away."""


class NoTurn(EngineBusy):
    """The line, not the engine, refused. Facts: `model`, `seconds`."""


class LineFull(NoTurn):
    """Facts: `model`, `waiting`, `seconds`."""

    template = "{model} is busy and {waiting} requests are waiting for it, as many as may; try again in {seconds} s."
    code = "queue_full"


class PushedOut(LineFull):
    """Facts: `model`, `waiting`, `seconds`."""

    template = (
        "{model} is busy and {waiting} requests are waiting for it, as many as may; this one gave way to somebody who "
        "has fewer, or a higher priority; try again in {seconds} s."
    )


class TooLate(NoTurn):
    """Told at once. Facts: `model`, `expected`, `patience`, `seconds`."""

    template = (
        "{model} is busy: the turn of this request would come in about {expected} s, and it may wait {patience} s; "
        "try again in {seconds} s."
    )
    code = "deadline_exceeded"


class WaitedTooLong(NoTurn):
    """Facts: `model`, `patience`, `seconds`."""

    template = "{model} is busy: after {patience} s the turn of this request has not come; try again in {seconds} s."
    code = "deadline_exceeded"


class Wanted(NamedTuple):
    """What somebody asks: `flow` is who, `cost` in tokens, `width` how many places, `patience` seconds."""

    flow: str = ""
    priority: int = 0
    cost: float = 1.0
    width: int = 1
    patience: float = inf


class Waiter:
    """A place in line. `turn` is done when it may go on, or tells why not."""

    __slots__ = ("finish", "gone", "order", "start", "turn", "wanted")

    def __init__(self, wanted: Wanted, start: float, number: int) -> None:
        self.wanted = wanted
        self.start = start
        self.finish = start + wanted.cost
        self.gone = False
        self.order = (-wanted.priority, start, number)
        self.turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()


class Lane:
    """Those of one priority: the virtual time, and for each flow its last stamp and how many wait."""

    __slots__ = ("finish", "virtual", "waiting")

    def __init__(self) -> None:
        self.virtual = 0.0
        self.finish: dict[str, float] = {}
        self.waiting: dict[str, int] = {}


class Line:
    """`capacity` places at work, at most `bound` requests in line. `seconds` is the mean time that answers take."""

    def __init__(self, model: str, capacity: int, bound: int) -> None:
        self.model = model
        self.bound = bound
        self.active = 0
        self.seconds = 0.0
        self._capacity = capacity
        self._waiting: list[tuple[tuple[int, float, int], Waiter]] = []
        self._lanes: dict[int, Lane] = {}
        self._number = 0

    def __len__(self) -> int:
        """How many wait."""
        return len(self._waiting)

    @property
    def capacity(self) -> int:
        return self._capacity

    @capacity.setter
    def capacity(self, places: int) -> None:
        self._capacity = places
        self._admit()

    def enter(self, width: int = 1) -> bool:
        """Take `width` places if they are free and nobody waits."""
        if self._waiting or (self.active and self.active + width > self._capacity):
            return False
        self.active += width
        return True

    async def wait(self, wanted: Wanted) -> None:
        """Take places when the turn comes. Raises LineFull, PushedOut, TooLate, WaitedTooLong; cancelling it leaves
        the line."""
        waiter = self.join(wanted)
        loop = asyncio.get_running_loop()
        late = None if wanted.patience == inf else loop.call_later(wanted.patience, self._give_up, waiter)
        try:
            await waiter.turn
        except asyncio.CancelledError:
            if waiter.turn.done() and not waiter.turn.cancelled():
                if waiter.turn.exception() is None:  # its turn came in the same moment
                    self.leave(wanted.width)
            else:
                self._remove(waiter)
                self._admit()  # a wide one that leaves may have kept others from free places
            raise
        finally:
            if late is not None:
                late.cancel()

    def join(self, wanted: Wanted) -> Waiter:
        """Get in line without waiting for the turn. Raises LineFull, TooLate."""
        lane = self._lanes.get(wanted.priority) or Lane()
        self._number += 1
        start = max(lane.virtual, lane.finish.get(wanted.flow, 0.0))
        waiter = Waiter(wanted, start, self._number)
        expected = self.expected(bisect_left(self._waiting, (waiter.order,)))
        if expected > wanted.patience:
            patience, rest = round(wanted.patience, 3), whole(expected - wanted.patience)
            raise TooLate(model=self.model, expected=round(expected, 1), patience=patience, seconds=rest)
        if len(self._waiting) >= self.bound and not self._make_room(wanted):
            raise LineFull(model=self.model, waiting=len(self._waiting), seconds=whole(expected))
        lane = self._lanes.setdefault(wanted.priority, lane)
        if len(lane.finish) > FORGET + 2 * len(lane.waiting):
            lane.finish = {flow: stamp for flow, stamp in lane.finish.items() if stamp > lane.virtual}
        lane.finish[wanted.flow] = waiter.finish
        lane.waiting[wanted.flow] = lane.waiting.get(wanted.flow, 0) + 1
        insort(self._waiting, (waiter.order, waiter))
        return waiter

    def leave(self, width: int = 1, seconds: float = 0.0) -> None:
        """Give `width` places back after an answer that took `seconds`; 0 where that says nothing of others."""
        self.active -= width
        if seconds:
            self.seconds += (seconds - self.seconds) * (LATEST if self.seconds else 1.0)
        if self._waiting:
            self._admit()

    def expected(self, ahead: int) -> float:
        """Seconds until the turn of who has `ahead` before them; 0 while no answer was measured."""
        return (ahead + 1) * self.seconds / self._capacity

    def _admit(self) -> None:
        while self._waiting:
            waiter = self._waiting[0][1]
            if waiter.turn.done():  # cancelled, and its task has not come to say so
                self._remove(waiter)
                continue
            if self.active and self.active + waiter.wanted.width > self._capacity:
                return
            lane = self._lanes[waiter.wanted.priority]
            lane.virtual = max(lane.virtual, waiter.start)
            self._remove(waiter, served=True)
            self.active += waiter.wanted.width
            waiter.turn.set_result(None)

    def _remove(self, waiter: Waiter, *, served: bool = False) -> None:
        if waiter.gone:
            return
        waiter.gone = True
        del self._waiting[bisect_left(self._waiting, (waiter.order,))]
        flow, lane = waiter.wanted.flow, self._lanes[waiter.wanted.priority]
        if not served and lane.finish[flow] == waiter.finish:
            lane.finish[flow] = waiter.start  # what was not served is not held against who asked
        left = lane.waiting[flow] - 1
        if left:
            lane.waiting[flow] = left
            return
        del lane.waiting[flow]
        if lane.finish[flow] <= lane.virtual:
            del lane.finish[flow]
        if not lane.waiting:
            del self._lanes[waiter.wanted.priority]

    def _make_room(self, wanted: Wanted) -> bool:
        """Whether somebody could be sent away for `wanted`."""
        if not self._lanes:
            return False
        priority = min(self._lanes)
        waiting = self._lanes[priority].waiting
        flow = max(waiting, key=waiting.__getitem__)
        fewer = wanted.priority == priority and waiting.get(wanted.flow, 0) + 1 < waiting[flow]
        if not (wanted.priority > priority or fewer):
            return False
        loser = next(each for _, each in reversed(self._waiting) if each.wanted[:2] == (flow, priority))
        seconds = whole(self.expected(len(self._waiting)))
        self._refuse(loser, PushedOut(model=self.model, waiting=len(self._waiting), seconds=seconds))
        return True

    def _give_up(self, waiter: Waiter) -> None:
        if not waiter.turn.done():
            seconds = whole(self.expected(bisect_left(self._waiting, (waiter.order,))))
            patience = round(waiter.wanted.patience, 3)
            self._refuse(waiter, WaitedTooLong(model=self.model, patience=patience, seconds=seconds))
            self._admit()

    def _refuse(self, waiter: Waiter, error: NoTurn) -> None:
        self._remove(waiter)
        if not waiter.turn.done():
            waiter.turn.set_exception(error)


def whole(seconds: float) -> int:
    """For Retry-After: whole seconds, at least one."""
    return max(1, ceil(seconds))
