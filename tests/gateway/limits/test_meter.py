"""The limits of one key together."""

from __future__ import annotations

import re
from contextlib import suppress
from datetime import datetime, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penjing.gateway.grant import Grant
from penjing.gateway.limits.estimate import Estimate
from penjing.gateway.limits.meter import Meter, Taken, duration, seconds_left
from penjing.gateway.limits.refusals import (
    BudgetInUse,
    BudgetSpent,
    Limited,
    RequestsLimited,
    TokensLimited,
    TooManyAtOnce,
)


def meter(spent: float = 0.0, **limits: float) -> Meter:
    return Meter(Grant("k", **limits), lambda: spent, 0.0)  # type: ignore[arg-type]  # the limits are of two types


def test_a_refused_request_takes_nothing() -> None:
    both = meter(requests_per_minute=2, tokens_per_minute=100)
    with pytest.raises(TokensLimited) as told:
        both.begin(0.0, Estimate(60, 0)), both.begin(0.0, Estimate(60, 0))
    assert told.value.facts["seconds"] == 12  # 20 tokens are lacking, 100 come in a minute
    assert both.headers(0.0)["x-ratelimit-remaining-requests"] == "1"
    both.begin(0.0, Estimate(10, 0))
    with pytest.raises(RequestsLimited):
        both.begin(0.0, Estimate(1, 0))
    assert both.headers(0.0)["x-ratelimit-remaining-tokens"] == "30"


def test_a_request_larger_than_the_limit_waits_for_a_full_minute() -> None:
    small = meter(tokens_per_minute=100)
    taken = small.begin(0.0, Estimate(10, 5000))
    with pytest.raises(TokensLimited):
        small.begin(0.0, Estimate(10, 5000))
    small.end(taken, used=250, seconds=1.0, now=1.0)
    with pytest.raises(TokensLimited) as told:
        small.begin(1.0, Estimate(1, 0))
    assert told.value.facts["seconds"] == 90  # after a second 148.3 are owed, one is wanted


def test_at_once() -> None:
    two = meter(concurrency=2)
    first = two.begin(0.0)
    two.begin(0.0)
    with pytest.raises(TooManyAtOnce):
        two.begin(0.0)
    two.end(first, 0, seconds=9.0, now=9.0)
    two.begin(9.0)
    with pytest.raises(TooManyAtOnce) as told:
        two.begin(9.0)
    assert told.value.facts["seconds"] == 5  # requests of this key take 9 s, two run


def test_money() -> None:
    rich = meter(spent=1.0, monthly_budget=2.0)
    taken = rich.begin(0.0, cost=1.5)
    with pytest.raises(BudgetInUse, match="may use up"):
        rich.begin(0.0, cost=0.1)
    rich.end(taken, 0, 1.0, 1.0)
    rich.begin(1.0)
    with pytest.raises(BudgetSpent):
        meter(spent=2.0, monthly_budget=2.0).begin(0.0)


def test_rights_that_change() -> None:
    one = meter(requests_per_minute=1)
    one.begin(0.0)
    one.change(Grant("k", requests_per_minute=10), 0.0)
    assert one.headers(0.0)["x-ratelimit-remaining-requests"] == "9"
    one.change(Grant("k"), 0.0)
    assert one.headers(0.0) == {}


@given(
    st.lists(st.tuples(st.floats(0, 20), st.integers(0, 300), st.integers(0, 300), st.booleans()), max_size=60),
    st.integers(1, 4),
)
def test_everything_goes_back(steps: list[tuple[float, int, int, bool]], at_once: int) -> None:
    now, running, used = 0.0, list[Taken](), meter(concurrency=at_once, tokens_per_minute=600, monthly_budget=5.0)
    for pause, wanted, real, ends in steps:
        now += pause
        if ends and running:
            used.end(running.pop(0), real, 1.0, now)
        else:
            with suppress(Limited):
                running.append(used.begin(now, Estimate(wanted, 0), wanted / 100))
        assert used.running == len(running) <= at_once
    for taken in running:
        used.end(taken, 0, 1.0, now)
    assert used.running == 0
    assert used.reserved == pytest.approx(0, abs=1e-9)


def test_the_rest_of_a_month() -> None:
    assert seconds_left(datetime(2026, 12, 31, 23, 59, tzinfo=timezone.utc)) == 60
    assert seconds_left(datetime(2028, 2, 28, tzinfo=timezone.utc)) == 2 * 86_400


@given(st.floats(0, 100_000))
def test_durations_are_as_go_writes_them(seconds: float) -> None:
    parts = re.findall(r"(\d+(?:\.\d+)?)(h|ms|m|s)", duration(seconds))
    assert "".join(digits + unit for digits, unit in parts) == duration(seconds)
    units = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}
    assert sum(float(digits) * units[unit] for digits, unit in parts) == pytest.approx(seconds, abs=0.0011)
