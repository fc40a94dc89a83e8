"""What answers cost: the price of each engine here, and usage times price.

An engine's price is the one its owner gave, else that of the cloud's model in the catalogue (`plan.prices`), else
nothing is known and nothing is counted. Prices are US dollars for a million tokens, as clouds tell them.

Does not know: keys, budgets (`policies/keys.py` has them), engines.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from penjing.messages import Usage
from penjing.plan.prices import Price


@dataclass(frozen=True)
class Prices:
    """Prices by the name an engine has here. Engines that are not in it are free, or their price is not known."""

    known: Mapping[str, Price] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.known)

    def cost(self, model: str, usage: Usage | None) -> float:
        """What an answer of the engine `model` cost, in US dollars; 0 where nothing is known."""
        price = self.known.get(model)
        return price.of(usage) if price is not None and usage is not None else 0.0
