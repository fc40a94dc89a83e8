"""Divergences and intervals, against the formulas written out by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from penjing.shrink.evaluate.statistics import compare, estimate, surprise

LOGITS = arrays(np.float32, (3, 7), elements=st.floats(-30, 30, width=32))


def softmax(row: list[float]) -> list[float]:
    powers = [math.exp(each - max(row)) for each in row]
    return [each / sum(powers) for each in powers]


@given(ours=LOGITS, theirs=LOGITS)
@settings(deadline=None, max_examples=60)
def test_the_divergence_is_the_formula(ours: np.ndarray, theirs: np.ndarray) -> None:
    found = compare(ours, theirs, np.array([0, 3, 6], np.int32))
    for row in range(3):
        p, q = softmax([float(each) for each in theirs[row]]), softmax([float(each) for each in ours[row]])
        wanted = sum(a * math.log(a / b) for a, b in zip(p, q, strict=True) if a > 0)
        assert found.kl[row] == pytest.approx(wanted, rel=1e-5, abs=2e-6)
        assert found.nll[row] == pytest.approx(-math.log(q[(0, 3, 6)[row]]), rel=1e-5, abs=1e-5)
        assert found.parent[row] == pytest.approx(-math.log(p[(0, 3, 6)[row]]), rel=1e-5, abs=1e-5)
        assert found.same[row] == (ours[row].argmax() == theirs[row].argmax())


@given(logits=LOGITS, shift=st.floats(-50, 50, width=32))
@settings(deadline=None, max_examples=30)
def test_nothing_is_lost_where_nothing_changed(logits: np.ndarray, shift: float) -> None:
    targets = np.array([1, 2, 3], np.int32)
    found = compare(logits, logits.copy(), targets)
    assert (found.kl == 0).all()
    assert (found.nll == found.parent).all()
    assert found.same.all()
    # softmax does not see a constant; what f32 rounds away is all that remains
    assert compare(logits + np.float32(shift), logits, targets).kl == pytest.approx(0, abs=5e-5)


def test_a_small_divergence_is_not_lost_in_rounding() -> None:
    rng = np.random.default_rng(0)
    parent = rng.normal(0, 4, (4, 50_000)).astype(np.float32)
    ours = parent + rng.normal(0, 1e-3, parent.shape).astype(np.float32)
    a, b = parent.astype(np.float64), ours.astype(np.float64)
    p = np.exp(a - a.max(1, keepdims=True))
    p /= p.sum(1, keepdims=True)
    logs = [each - np.log(np.exp(each).sum(1, keepdims=True)) for each in (a, b)]
    wanted = (p * (logs[0] - logs[1])).sum(1)
    assert wanted.max() < 2e-6
    assert compare(ours, parent, np.zeros(4, np.int32)).kl == pytest.approx(wanted, rel=0.05, abs=2e-8)


def test_surprise_is_that_of_the_comparison() -> None:
    rng = np.random.default_rng(1)
    ours, theirs = rng.normal(size=(2, 5, 11)).astype(np.float32)
    targets = rng.integers(0, 11, 5).astype(np.int32)
    assert (surprise(ours, targets) == compare(ours, theirs, targets).nll).all()


def test_values_that_hang_together_are_one_observation() -> None:
    """Each of 50 values ten times over says no more than the 50."""
    values = np.random.default_rng(5).normal(size=50)
    alone = estimate(values)
    tenfold = estimate(np.repeat(values, 10), np.repeat(np.arange(50), 10))
    assert (tenfold.value, tenfold.low, tenfold.high) == pytest.approx((alone.value, alone.low, alone.high))
    assert estimate(np.repeat(values, 10)).high < alone.high


def test_groups_weigh_as_much_as_they_hold() -> None:
    assert estimate(np.array([1.0, 1.0, 1.0, 5.0]), np.array([7, 7, 7, 3])).value == 2.0


def test_the_interval_is_that_of_the_normal_distribution() -> None:
    values = np.random.default_rng(2).normal(3.0, 2.0, 4000)
    found = estimate(values)
    assert found.value == pytest.approx(values.mean())
    half = 1.96 * values.std() / math.sqrt(4000)
    assert found.high - found.value == pytest.approx(half, rel=0.1)
    assert found.value - found.low == pytest.approx(half, rel=0.1)


def test_intervals_hold_the_truth_as_often_as_they_say() -> None:
    """95 % of intervals, of means of 80 observations; 100 tries miss by 9 points less than once in 1,000."""
    rng = np.random.default_rng(3)
    held = 0
    for seed in range(100):
        values = rng.exponential(1.0, 80)
        found = estimate(values, seed=seed)
        held += found.low <= 1.0 <= found.high
    assert held / 100 >= 0.86


def test_the_same_seed_gives_the_same_interval() -> None:
    values = np.random.default_rng(4).normal(size=50)
    assert estimate(values, seed=7) == estimate(values, seed=7)
    assert estimate(values, seed=7) != estimate(values, seed=8)


def test_one_group_has_no_interval_to_speak_of() -> None:
    found = estimate(np.array([2.0, 1.0, 3.0]), np.zeros(3, np.intp))
    assert (found.value, found.low, found.high) == (2.0, 2.0, 2.0)
    none = estimate(np.zeros(5))
    assert (none.value, none.low, none.high) == (0.0, 0.0, 0.0)
