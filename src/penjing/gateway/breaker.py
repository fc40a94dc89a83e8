"""A circuit breaker: who failed several times in a row is left alone for a while, then tried with one request.

    closed --failures in a row--> open --after a while--> half open --one request--> closed, or open for longer

Does not know: what is tried.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

State = Literal["closed", "open", "half open"]
DOUBLINGS = 32
"""After so many the longest pause is reached, whatever it is."""


@dataclass(frozen=True)
class Trip:
    """Opens after `failures` in a row, for `seconds`, each time in a row twice as long, at most `longest` seconds."""

    failures: int = 3
    seconds: float = 5.0
    longest: float = 120.0


class Breaker:
    """`clock` tells seconds."""

    def __init__(self, trip: Trip | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        self._trip = trip or Trip()
        self._clock = clock
        self._failures = 0
        self._opened = 0
        self._until = 0.0

    @property
    def state(self) -> State:
        if not self._opened:
            return "closed"
        return "open" if self._clock() < self._until else "half open"

    def allows(self) -> bool:
        """Whether to try now. When half open, the first to ask is the probe; the others wait for what it finds, and
        when it never tells (its client left), the next one is let through after another while."""
        if not self._opened:
            return True
        if self._clock() < self._until:
            return False
        self._until = self._clock() + self._trip.seconds
        return True

    def passed(self) -> None:
        """It worked."""
        self._failures = self._opened = 0

    def failed(self) -> None:
        """It did not."""
        self._failures += 1
        if self._opened or self._failures >= self._trip.failures:
            self._until = self._clock() + min(self._trip.seconds * 2**self._opened, self._trip.longest)
            self._opened = min(self._opened + 1, DOUBLINGS)
