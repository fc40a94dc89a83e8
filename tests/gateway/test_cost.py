from __future__ import annotations

from penjing.gateway.cost import Prices
from penjing.messages import Usage
from penjing.plan.prices import Price


def test_an_engine_without_a_price_costs_nothing() -> None:
    prices = Prices({"cloud": Price(input=1.0)})
    usage = Usage(prompt_tokens=1_000_000, completion_tokens=1)
    assert (prices.cost("cloud", usage), prices.cost("guide", usage), prices.cost("cloud", None)) == (1.0, 0.0, 0.0)
