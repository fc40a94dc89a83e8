"""How long the stages are beside each other."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penjing.shrink.quantize.way import CALIBRATED, COMPARED, FEWEST, WRITING, Way, calibrated, compared

SIZES = st.integers(min_value=1000, max_value=10**12)


@given(parameters=SIZES, groups=st.integers(1, 500), windows=st.integers(1, 200), known=st.booleans())
def test_stages_follow_each_other(parameters: int, groups: int, windows: int, known: bool) -> None:
    way = Way.to_size(parameters, groups, windows, 512, sample=parameters // 3, known=known)
    assert list(way.starts) == sorted(way.starts)
    assert way.starts[0] >= 0
    assert way.starts[-1] == pytest.approx(1 - WRITING / way.tokens)
    assert (way.starts[0] == 0) == known


@given(parameters=SIZES)
def test_large_models_read_less(parameters: int) -> None:
    assert FEWEST <= calibrated(parameters, 512) <= CALIBRATED
    assert calibrated(2 * parameters, 512) <= calibrated(parameters, 512)
    assert 1 <= compared(2 * parameters, 512) <= compared(parameters, 512) <= COMPARED


def test_models_of_a_few_sizes() -> None:
    """What decides how long a night is not enough for."""
    assert [calibrated(size, 512) for size in (6_000_000, 1_000_000_000, 13_000_000_000)] == [96, 96, 8]
    sizes = ((6_000_000, 1_800_000), (13_000_000_000, 229_000_000))
    small, large = (Way.to_size(size, 12, calibrated(size, 512), 512, sample=tried) for size, tried in sizes)
    assert large.trying < small.trying / 10
    assert small.refining > 0
    assert large.refining == 0
    assert large.tokens < small.tokens / 5
    assert Way.to_mixture(0, 512).tokens == WRITING
