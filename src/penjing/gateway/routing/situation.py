"""The rest of the world as rules ask about it: how busy engines are, what a key has left, what time it is.

Does not know: rules.
"""

from __future__ import annotations

from datetime import datetime
from math import inf

from penjing.errors import EngineError
from penjing.gateway.grant import Grant
from penjing.gateway.house import UNTOLD_SLOTS, House
from penjing.gateway.routing.facts import Facts


class Here:
    """`house` as it is now."""

    def __init__(self, house: House) -> None:
        self._house = house

    def load(self, engine: str) -> float:
        """Requests at work or waiting, as a share of what `engine` works on at once; infinite when it is down."""
        if engine in self._house.failed:
            return inf
        try:
            slots = self._house.engines[engine].capabilities.slots or UNTOLD_SLOTS
        except EngineError:  # loading, or given up
            return inf
        pool = self._house.pools.get(engine)
        waiting = self._house.waiting(engine)
        return (pool.active + pool.queued + waiting) / slots if pool is not None else 0.0

    def left(self, grant: Grant) -> float:
        """What a key may still spend this month, US dollars; infinite without a budget."""
        return inf if grant.monthly_budget is None else grant.monthly_budget - self._house.spent(grant.name)

    def now(self) -> datetime:
        """The local time."""
        return datetime.now()

    def able(self, engine: str, facts: Facts) -> bool:
        """Whether nothing is known that keeps `engine` from answering."""
        if engine in self._house.failed:
            return False
        try:
            can = self._house.engines[engine].capabilities
        except EngineError:  # it may be back when it is asked
            return True
        return not (
            (facts.tools and not can.tools)
            or (facts.vision and not can.vision)
            or (facts.audio and not can.audio)
            or (facts.kind == "embedding" and not can.embeddings)
        )
