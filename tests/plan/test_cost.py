from __future__ import annotations

import dataclasses
import math

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from penjing.plan.cost import FIGURES, BadFigure, Cost, Running, Setup, Usage, moved, sensitivity
from penjing.plan.prices import Price

amounts = st.floats(0, 1e6, allow_nan=False)
positive = st.floats(1e-3, 1e4)
costs = st.builds(
    Cost,
    setup=st.builds(Setup, amounts, amounts, amounts),
    usage=st.builds(Usage, st.floats(0.01, 1e5), st.integers(1, 50), st.integers(1, 5000), st.integers(1, 5000)),
    running=st.builds(Running, positive, amounts, amounts, st.floats(0, 10)),
    price=st.builds(Price, positive, positive),
)
USUAL = Cost(Setup(8, 50, 0), Usage(), Running(100, 30, 0, 0.15), Price(0.25, 2.0))


def test_by_hand() -> None:
    """4 questions of 150 and answers of 250: 3,000 tokens read in all (600 new), 1,000 written."""
    assert (USUAL.usage.read_tokens, USUAL.usage.fresh_tokens, USUAL.usage.written_tokens) == (3000, 600, 1000)
    assert USUAL.cloud_per_conversation == pytest.approx(3000 * 0.25e-6 + 1000 * 2e-6)
    assert USUAL.cloud_per_month == pytest.approx(0.00275 * 100 * 365.25 / 12)
    assert USUAL.kwh_per_month == pytest.approx(0.030 * (100 * 100 / 3600) * 365.25 / 12)
    assert USUAL.local_per_month == pytest.approx(USUAL.kwh_per_month * 0.15)
    assert USUAL.break_even_months == pytest.approx(400 / (USUAL.cloud_per_month - USUAL.local_per_month))


@given(costs)
def test_at_the_break_even_both_have_cost_the_same(cost: Cost) -> None:
    months = cost.break_even_months
    if months is None:
        assert cost.saved_per_month <= 0 or not cost.possible or cost.setup.total / cost.saved_per_month == math.inf
    else:
        assert cost.possible
        assert cost.saved_per_month >= 0
        assert cost.local_after(months) == pytest.approx(cost.cloud_after(months), rel=1e-6, abs=1e-6)


@given(costs, st.sampled_from([*FIGURES, "price"]), st.floats(1, 10))
def test_costs_are_monotone(cost: Cost, name: str, times: float) -> None:
    """What is paid more for never pays off sooner; a dearer cloud never later."""
    more = moved(cost, name, times)
    if name == "price":
        assert more.cloud_per_month >= cost.cloud_per_month
        assert sooner(more, cost)
    elif name in ("hours", "rate", "hardware"):
        assert more.setup.total >= cost.setup.total
        assert sooner(cost, more)
    elif name in ("watts", "idle_watts", "tariff"):
        assert more.local_per_month >= cost.local_per_month * (1 - 1e-12)
        assert sooner(cost, more)
    else:
        assert more.cloud_per_month >= cost.cloud_per_month * (1 - 1e-12)


def sooner(one: Cost, other: Cost) -> bool:
    """Whether `one` pays off no later than `other`."""
    first, second = (math.inf if cost.break_even_months is None else cost.break_even_months for cost in (one, other))
    return first <= second * (1 + 1e-9) or math.isclose(first, second)


def test_never_where_the_cloud_costs_no_more() -> None:
    hungry = dataclasses.replace(USUAL, running=Running(100, 5000, 500, 0.5))
    assert hungry.saved_per_month < 0
    assert hungry.break_even_months is None


def test_never_where_the_day_is_too_short() -> None:
    slow = dataclasses.replace(USUAL, running=Running(900, 1, 0, 0.1))
    assert slow.load > 1
    assert not slow.possible
    assert slow.break_even_months is None


def test_at_once_where_nothing_is_paid() -> None:
    assert dataclasses.replace(USUAL, setup=Setup(0, 50, 0)).break_even_months == 0


@given(costs)
@example(Cost(Setup(483665, 568323, 0), Usage(0.5, 1, 1, 1), Running(0.03125, 0, 1, 1), Price(0.03125, 0.03125)))
def test_the_tornado_is_sorted_and_around_the_plan(cost: Cost) -> None:
    swings = sensitivity(cost)
    widths = [swing.width for swing in swings]
    assert widths == sorted(widths, reverse=True)
    assert all(width > 0 for width in widths)
    if "price" not in {swing.name for swing in swings}:  # a price that is lost in rounding beside the rest
        assert cost.cloud_per_month < 1e-9 * abs(cost.saved)
    assert len({swing.name for swing in swings}) == len(swings)


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: Usage(conversations_per_day=0),
        lambda: Usage(answer_tokens=-1),
        lambda: Running(0, 1),
        lambda: Running(1, -1),
        lambda: Running(1, 1, tariff=math.nan),
        lambda: Setup(hours=-1),
        lambda: Setup(hardware=math.inf),
        lambda: dataclasses.replace(USUAL, price=Price(0, 1)),
        lambda: dataclasses.replace(USUAL, price=Price(1, 0)),
        lambda: dataclasses.replace(USUAL, months=0),
    ],
)
def test_figures_that_cannot_be(wrong: object) -> None:
    with pytest.raises(BadFigure):
        wrong()  # type: ignore[operator]  # each is a function
