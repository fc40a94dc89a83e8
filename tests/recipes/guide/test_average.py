"""The mean of two ends of a run."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.extras

from recipes.guide.average import average, minute  # noqa: E402


def end(value: float, seconds: float) -> dict[str, object]:
    return {"model": {"w": torch.full((2,), value, dtype=torch.bfloat16)}, "progress": {"seconds": seconds}}


def test_each_weight_is_the_mean() -> None:
    found = average(end(1.0, 60.0), end(2.0, 120.0), 0.25)
    assert found["model"]["w"].tolist() == [1.75, 1.75]
    assert found["model"]["w"].dtype == torch.bfloat16
    assert minute(found) == 2.0
