"""Buckets keep what they promise, for any requests at any times."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penjing.gateway.limits.bucket import MINUTE, Bucket

STEPS = st.lists(st.tuples(st.floats(0, 90), st.floats(0.01, 500)), max_size=60)


@given(limit=st.integers(1, 1000), steps=STEPS)
def test_in_no_time_is_more_taken_than_allowed(limit: int, steps: list[tuple[float, float]]) -> None:
    bucket, now = Bucket(limit, 0.0), 0.0
    taken: list[tuple[float, float]] = []
    for pause, amount in steps:
        now += pause
        if bucket.wait(amount, now) == 0:
            taken.append((now, bucket.take(amount, now)))
        assert bucket.level(now) <= limit
    for first, (since, _) in enumerate(taken):
        total = 0.0
        for at, amount in taken[first:]:
            total += amount
            assert total <= limit * (1 + (at - since) / MINUTE) + 1e-3


@given(limit=st.integers(1, 100_000), steps=STEPS)
def test_the_wait_is_exact(limit: int, steps: list[tuple[float, float]]) -> None:
    """Who waits as long as told gets it; who comes noticeably sooner does not."""
    bucket, now = Bucket(limit, 0.0), 0.0
    for pause, amount in steps:
        now += pause
        wait = bucket.wait(amount, now)
        if wait > 0.01:
            assert bucket.wait(amount, now + wait * 0.99) > 0
        now += wait
        assert bucket.wait(amount, now) == 0
        bucket.take(amount, now)


@given(limit=st.integers(1, 1000), used=st.lists(st.tuples(st.floats(0, 2000), st.floats(0, 30)), max_size=40))
def test_what_was_used_is_paid_for(limit: int, used: list[tuple[float, float]]) -> None:
    """However wrong the estimates are, in the long run no more than the limit is used: a debt is waited for."""
    bucket, now, total = Bucket(limit, 0.0), 0.0, 0.0
    for amount, pause in used:
        now += bucket.wait(limit / 2, now)
        assert total <= limit * (1 + now / MINUTE) + 1e-3
        taken = bucket.take(limit / 2, now)
        now += pause
        bucket.settle(taken, amount, now)
        total += amount


def test_settling_never_overfills_and_sizes_change() -> None:
    bucket = Bucket(60, 0.0)
    taken = bucket.take(1000, 0.0)
    assert taken == 60
    bucket.settle(taken, 0, 50.0)
    assert (bucket.level(50.0), bucket.full(50.0)) == (60, 0)
    bucket.take(30, 50.0)
    bucket.resize(600, 50.0)
    assert bucket.level(50.0) == 570
    bucket.resize(6, 50.0)
    assert bucket.wait(1, 50.0) == pytest.approx(250)
