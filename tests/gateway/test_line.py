"""The line by itself: it never lets in too many, forgets nobody, and is fair."""

from __future__ import annotations

import asyncio
import itertools
from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penjing.errors import EngineBusy
from penjing.gateway.line import Line, LineFull, PushedOut, TooLate, WaitedTooLong, Waiter, Wanted

COMMANDS = st.lists(
    st.tuples(
        st.sampled_from(("ask", "ask", "ask", "leave", "cancel", "widen")),
        st.sampled_from("abc"),
        st.integers(0, 2),
        st.integers(1, 1000),
        st.integers(1, 4),
    ),
    max_size=60,
)


class Told:
    """What must be true of a line whatever is done to it."""

    def __init__(self, line: Line) -> None:
        self.line = line
        self.working: list[int] = []
        self.waiting: list[Waiter] = []

    def ask(self, flow: str, priority: int, cost: int, width: int) -> None:
        if self.line.enter(width):
            self.working.append(width)
            assert not self.waiting, "overtaken"
            return
        try:
            self.waiting.append(self.line.join(Wanted(flow, priority, cost, width)))
        except LineFull:
            assert len(self.line) == self.line.bound

    def leave(self, which: int) -> None:
        if self.working:
            self.line.leave(self.working.pop(which % len(self.working)), 0.1)

    def cancel(self, which: int) -> None:
        """As `Line.wait` does when its task is cancelled; sometimes that comes late."""
        if self.waiting:
            waiter = self.waiting[which % len(self.waiting)]
            waiter.turn.cancel()
            if which % 2:
                self.line._remove(waiter)
            self.line._admit()
            self.line._remove(waiter)

    def check(self) -> None:
        for waiter in [each for each in self.waiting if each.turn.done()]:
            self.waiting.remove(waiter)
            if not waiter.turn.cancelled() and waiter.turn.exception() is None:
                self.working.append(waiter.wanted.width)
        assert self.line.active == sum(self.working)
        assert self.line.active <= max(self.line.capacity, *self.working, 0)
        assert len(self.line) == len(self.waiting) <= self.line.bound
        assert self.working or not self.waiting, "somebody waits before an idle engine"


@given(commands=COMMANDS, capacity=st.integers(1, 4), bound=st.integers(1, 8))
def test_never_too_many_and_nobody_is_forgotten(commands: list[Any], capacity: int, bound: int) -> None:
    """Whatever happens in whatever order: each who asked is at work, waiting, done, or was told why not."""

    async def run() -> None:
        line = Line("m", capacity, bound)
        told = Told(line)
        for command, flow, priority, cost, width in commands:
            if command == "ask":
                told.ask(flow, priority, cost, min(width, line.capacity))
            elif command == "leave":
                told.leave(cost)
            elif command == "cancel":
                told.cancel(cost)
            else:
                line.capacity = max(line.capacity, width)
            told.check()
        while told.working:
            told.leave(0)
            told.check()
        assert (line.active, len(line), line._lanes) == (0, 0, {})

    asyncio.run(run())


def order_of(asked: list[Wanted], capacity: int = 1) -> list[Wanted]:
    """In which order a line lets `asked`, who come at once, go to work."""

    async def run() -> list[Wanted]:
        line = Line("m", capacity, len(asked))
        assert line.enter(capacity)
        waiting = [line.join(wanted) for wanted in asked]
        seen: list[Wanted] = []
        line.leave(capacity)
        while waiting:
            now = [waiter for waiter in waiting if waiter.turn.done()]
            for waiter in now:
                waiting.remove(waiter)
                seen.append(waiter.wanted)
                line.leave(waiter.wanted.width)
        return seen

    return asyncio.run(run())


@given(
    st.lists(st.tuples(st.sampled_from("abcd"), st.integers(1, 1000)), min_size=1, max_size=60),
)
def test_backlogged_flows_get_equal_shares(asked: list[tuple[str, int]]) -> None:
    """As long as two flows both wait, what they were served differs by at most one request of each
    (theorem 1 of start-time fair queuing)."""
    order = order_of([Wanted(flow, cost=cost) for flow, cost in asked])
    assert Counter(order) == Counter(Wanted(flow, cost=cost) for flow, cost in asked)
    left, served = Counter(wanted.flow for wanted in order), Counter[str]()
    largest = {flow: max(cost for other, cost in asked if other == flow) for flow, _ in asked}
    together = dict.fromkeys(itertools.combinations(sorted(largest), 2), True)
    for wanted in order:
        served[wanted.flow] += int(wanted.cost)
        left[wanted.flow] -= 1
        for (one, other), both in together.items():
            if both:
                assert abs(served[one] - served[other]) <= largest[one] + largest[other]
            together[one, other] = both and bool(left[one] and left[other])


@given(st.lists(st.tuples(st.sampled_from("ab"), st.integers(-2, 2), st.integers(1, 9)), min_size=1, max_size=40))
def test_higher_priorities_go_first_and_a_flow_keeps_its_order(asked: list[tuple[str, int, int]]) -> None:
    order = order_of([Wanted(flow, priority, cost) for flow, priority, cost in asked])
    assert [wanted.priority for wanted in order] == sorted((each[1] for each in asked), reverse=True)
    for flow, priority in {(flow, priority) for flow, priority, _ in asked}:
        mine = [wanted.cost for wanted in order if wanted[:2] == (flow, priority)]
        assert mine == [cost for *who, cost in asked if tuple(who) == (flow, priority)]


def test_a_newcomer_does_not_wait_behind_all_of_another() -> None:
    order = order_of([*[Wanted("greedy", cost=100)] * 20, Wanted("modest", cost=100)])
    assert [wanted.flow for wanted in order].index("modest") == 1


async def filled(bound: int, *flows: tuple[str, int]) -> tuple[Line, list[asyncio.Task[None]]]:
    """A line with one at work and `flows` (who, priority) waiting."""
    line = Line("m", 1, bound)
    assert line.enter()
    tasks = [asyncio.create_task(line.wait(Wanted(*flow))) for flow in flows]
    await asyncio.sleep(0)
    return line, tasks


async def test_full_the_largest_gives_way_to_the_smallest() -> None:
    line, tasks = await filled(3, ("greedy", 0), ("greedy", 0), ("greedy", 0))
    modest = asyncio.create_task(line.wait(Wanted("modest")))
    await asyncio.sleep(0)
    with pytest.raises(PushedOut):
        await tasks[2]
    with pytest.raises(LineFull):
        await line.wait(Wanted("greedy"))
    line.leave()
    await tasks[0]
    line.leave()
    await modest
    line.leave()
    await tasks[1]
    line.leave()
    assert (line.active, len(line)) == (0, 0)


async def test_full_a_higher_priority_pushes_out_a_lower_one() -> None:
    line, tasks = await filled(2, ("low", -1), ("other", 0))
    urgent = asyncio.create_task(line.wait(Wanted("urgent", 1)))
    await asyncio.sleep(0)
    with pytest.raises(PushedOut):
        await tasks[0]
    with pytest.raises(LineFull):
        await line.wait(Wanted("low", -1))
    line.leave()
    await urgent
    tasks[1].cancel()
    with pytest.raises(asyncio.CancelledError):
        await tasks[1]
    line.leave()
    assert (line.active, len(line)) == (0, 0)


async def test_one_who_cannot_make_it_is_told_at_once_and_when() -> None:
    line, tasks = await filled(9, ("a", 0), ("a", 0))
    line.leave(0, seconds=10.0)  # answers take 10 s, one at a time
    with pytest.raises(TooLate) as told:
        await line.wait(Wanted("a", patience=25))
    assert told.value.facts == {"model": "m", "expected": 30.0, "patience": 25, "seconds": 5}
    before_others = asyncio.create_task(line.wait(Wanted("b", patience=25)))  # its share comes sooner
    await asyncio.sleep(0)
    assert len(line) == 3
    for task in (*tasks, before_others):
        task.cancel()
    await asyncio.gather(*tasks, before_others, return_exceptions=True)
    assert (line.active, len(line)) == (1, 0)


async def test_patience_ends() -> None:
    line, _ = await filled(9)
    with pytest.raises(WaitedTooLong):
        await line.wait(Wanted(patience=0.01))
    assert (line.active, len(line)) == (1, 0)


async def test_cancelled_in_the_moment_of_its_turn() -> None:
    line, (first, second) = await filled(9, ("a", 0), ("a", 0))
    line.leave()  # the first one's turn; its task has not run
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)
    await second
    assert (line.active, len(line)) == (1, 0)


async def test_cancelled_just_before_its_turn() -> None:
    line, (first, second) = await filled(9, ("a", 0), ("a", 0))
    first.cancel()
    line.leave()
    await second
    assert (line.active, len(line)) == (1, 0)
    await asyncio.gather(first, return_exceptions=True)
    assert (line.active, len(line)) == (1, 0)


async def test_a_wide_one_waits_for_all_its_places_and_is_not_passed() -> None:
    line = Line("m", 4, 9)
    assert line.enter(2)
    wide = asyncio.create_task(line.wait(Wanted("a", width=4)))
    await asyncio.sleep(0)
    assert not line.enter(1)
    small = asyncio.create_task(line.wait(Wanted("b", width=1)))
    await asyncio.sleep(0)
    wide.cancel()  # then the others need not wait for it
    await asyncio.gather(wide, return_exceptions=True)
    await asyncio.wait_for(small, 60)
    assert line.active == 3


def test_busy_errors_are_what_others_look_for() -> None:
    assert all(issubclass(kind, EngineBusy) for kind in (LineFull, PushedOut, TooLate, WaitedTooLong))
