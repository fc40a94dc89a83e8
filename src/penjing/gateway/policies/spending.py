"""What answers cost, counted by key and engine. Costs nothing where no engine has a price.

Does not know: budgets (`policies/keys.py`).
"""

from __future__ import annotations

from collections.abc import AsyncIterable
from dataclasses import dataclass
from functools import partial

from penjing.gateway.ask import Ask, Call, Outcome
from penjing.gateway.cost import Prices
from penjing.gateway.house import House
from penjing.gateway.metrics import Counter
from penjing.gateway.policies.policy import Step
from penjing.messages import Event


@dataclass(frozen=True)
class SpendingOptions:
    """Nothing to set: prices belong to engines, `[engines.NAME] price`."""


class Spending:
    """The policy."""

    def __init__(self, prices: Prices, house: House) -> None:
        self._prices = prices
        self._spent = Counter("penjing_spent_dollars_total", "What answers cost, US dollars.", ("key", "engine"))
        house.observed.add(self._spent)

    async def __call__(self, ask: Ask, call_next: Call) -> AsyncIterable[Event]:
        ask.at_end(partial(self._count, ask.key.name))
        return await call_next(ask)

    def _count(self, key: str, outcome: Outcome) -> None:
        cost = self._prices.cost(outcome.model, outcome.usage)
        if cost and not outcome.cached:
            self._spent.add(key, outcome.model, by=cost)


def build(options: SpendingOptions, house: House) -> Spending | None:
    """The policy; None where everything is free."""
    return Spending(house.options.prices, house) if house.options.prices else None


STEP = Step("spending", SpendingOptions, build)
