from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from penjing.gateway.breaker import Breaker, Trip


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def opened(clock: Clock) -> Breaker:
    breaker = Breaker(Trip(failures=3, seconds=5, longest=40), clock)
    for _ in range(3):
        assert breaker.allows()
        breaker.failed()
    return breaker


def test_it_opens_after_failures_in_a_row() -> None:
    clock = Clock()
    breaker = opened(clock)
    assert breaker.state == "open"
    assert not breaker.allows()


def test_a_success_between_starts_the_count_anew() -> None:
    breaker = Breaker(Trip(failures=2))
    for _ in range(5):
        breaker.failed()
        breaker.passed()
    assert breaker.state == "closed"


def test_one_probe_when_half_open() -> None:
    clock = Clock()
    breaker = opened(clock)
    clock.now += 5
    assert breaker.state == "half open"
    assert [breaker.allows() for _ in range(3)] == [True, False, False]
    breaker.passed()
    assert breaker.state == "closed"
    assert breaker.allows()


def test_a_probe_that_fails_opens_it_for_longer() -> None:
    clock = Clock()
    breaker = opened(clock)
    clock.now += 5
    assert breaker.allows()
    breaker.failed()
    clock.now += 9.9
    assert not breaker.allows()
    clock.now += 0.1
    assert breaker.allows()


def test_a_probe_that_never_tells_is_not_waited_for() -> None:
    clock = Clock()
    breaker = opened(clock)
    clock.now += 5
    assert breaker.allows()
    clock.now += 5
    assert breaker.allows()


@given(st.lists(st.booleans(), max_size=60))
def test_it_never_stays_closed_to_all_for_longer_than_the_longest(results: list[bool]) -> None:
    clock = Clock()
    breaker = Breaker(Trip(failures=1, seconds=1, longest=8), clock)
    for good in results:
        breaker.passed() if good else breaker.failed()
        clock.now += 0.5
    clock.now += 8
    assert breaker.allows()
