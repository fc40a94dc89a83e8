"""Which streams are read at which beat, and that a beat strikes as long as somebody listens."""

from __future__ import annotations

import asyncio

from hypothesis import given
from hypothesis import strategies as st

from gateway.running import until
from penjing.gateway.beat import AGE, BEATS, Beats, beat

AGES = st.floats(0, 1000)


class Member:
    def __init__(self) -> None:
        self.pulled = 0

    def pull(self) -> None:
        self.pulled += 1


@given(AGES, st.floats(0, 10))
def test_a_beat_brings_more_than_one_token_and_is_short_beside_the_answer(age: float, interval: float) -> None:
    seconds = beat(age, interval)
    assert seconds in (0.0, *BEATS)
    if seconds:
        assert interval < seconds
        assert seconds == BEATS[0] or age >= seconds * AGE


@given(AGES, AGES, st.floats(0, BEATS[0] / 2))
def test_it_only_gets_longer_with_age(age: float, other: float, interval: float) -> None:
    younger, older = sorted((age, other))
    assert beat(younger, interval) <= beat(older, interval)


async def test_members_are_pulled_until_they_leave() -> None:
    beats, members = Beats(), (Member(), Member())
    for each in members:
        beats.move(each, 0.0, BEATS[0])
    await until(lambda: all(each.pulled > 2 for each in members), "pulled")
    beats.move(members[0], BEATS[0], BEATS[1])
    beats.move(members[1], BEATS[0], 0.0)
    seen = members[1].pulled, members[0].pulled
    await until(lambda: members[0].pulled > seen[1], "pulled at another beat")
    assert members[1].pulled == seen[0]
    beats.move(members[0], BEATS[1], 0.0)
    await asyncio.sleep(BEATS[-1] * 2)
    assert all(each._timer is None for each in beats._beats.values())
