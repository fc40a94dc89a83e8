from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from penjing.operate.measure.figures import Goal, figures, percentile, ratio, spread
from penjing.operate.measure.sample import Sample

TIMES = st.lists(st.floats(0, 1e6, allow_subnormal=False), min_size=1, max_size=50)


@given(TIMES, st.floats(0, 1))
def test_percentiles_are_those_of_numpy(values: list[float], share: float) -> None:
    assert percentile(sorted(values), share) == pytest.approx(float(np.percentile(values, share * 100)))


@given(TIMES)
def test_percentiles_rise(values: list[float]) -> None:
    found = spread(values)
    assert min(values) <= found.p50 <= found.p90 <= found.p99 <= max(values)
    assert found.count == len(values)


def answer(asked: float, first: float, each: float, tokens: int) -> Sample:
    moments = tuple(asked + first + each * place for place in range(tokens))
    return Sample(asked, moments[-1], moments, prompt_tokens=100, completion_tokens=tokens)


def test_figures_of_a_round() -> None:
    samples = [
        answer(0, 0.1, 0.01, 11),
        answer(1, 0.3, 0.02, 11),
        Sample(2, 3, error="busy"),
        Sample(2, 4, error="busy"),
    ]
    found = figures(samples, 4.0, Goal(first=0.2))
    assert found.first.p50 == pytest.approx(0.2)
    assert found.tokens == pytest.approx(22 / 4)
    assert found.answers == pytest.approx(0.5)
    assert found.good == pytest.approx(0.25)
    assert found.failed == {"busy": 2}


def test_nothing_measured_is_zeros() -> None:
    found = figures([], 0.0)
    assert (found.tokens, found.first.count, found.good) == (0.0, 0, None)


def test_a_goal_without_limits_is_always_met() -> None:
    assert Goal().met(answer(0, 1e6, 1e6, 2))
    assert not Goal(whole=math.nextafter(0, 1)).met(answer(0, 1, 1, 2))


def test_ratios_are_of_pairs() -> None:
    found = ratio([2.0, 3.0, 8.0], [1.0, 1.0, 2.0])
    assert found is not None
    assert (found.median, found.least, found.most, found.rounds) == (3.0, 2.0, 4.0, 3)
    assert ratio([0.0], [1.0]) is None
