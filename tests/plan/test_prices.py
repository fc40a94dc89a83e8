from __future__ import annotations

from datetime import date

import msgspec
import pytest

from penjing.messages import Usage
from penjing.plan import prices
from penjing.plan.prices import Price, listed


def test_read_written_and_cached_tokens_each_have_their_price() -> None:
    usage = Usage(prompt_tokens=1_000_000, completion_tokens=500_000, cached_tokens=400_000)
    assert Price(input=2.0, output=8.0, cached=0.5).of(usage) == pytest.approx(0.6 * 2 + 0.4 * 0.5 + 0.5 * 8)
    assert Price(input=2.0, output=8.0).of(usage) == pytest.approx(2 + 4)


def test_more_cached_than_read_is_no_refund() -> None:
    assert Price(input=1.0, cached=0.0).of(Usage(prompt_tokens=10, completion_tokens=0, cached_tokens=99)) == 0


def test_every_listed_price_has_a_date_and_a_source() -> None:
    for name, entry in prices.catalogue().items():
        assert listed(name) == entry
        assert entry.source.startswith("https://")
        assert date(2025, 1, 1) < date.fromisoformat(entry.read)
        assert 0 <= (entry.price.cached or 0) <= entry.price.input
        assert entry.price.input > 0


def test_a_version_of_a_model_has_its_price() -> None:
    assert listed("gpt-4o-mini-2024-07-18") == listed("gpt-4o-mini") != listed("gpt-4o")
    assert listed("gpt-4o-audio") is None


def test_a_price_below_nothing_is_refused() -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({"input": -1}, Price)
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({"imput": 1}, Price)
