"""A bucket of so many things a minute: full at first, filled evenly, emptied by what is taken.

In any time T at most `limit * (1 + T / minute)` are taken. A bucket may owe: when more was used than was taken
beforehand, `settle` takes the rest, and nobody gets any until that is made up for.

Does not know: clocks (times in seconds are given), requests.
"""

from __future__ import annotations

MINUTE = 60.0
GRAIN = 1e-6
"""Of a thing: what is lacking by less, for the rounding of floats, is there."""


class Bucket:
    """`limit` things a minute."""

    __slots__ = ("_at", "_level", "limit", "rate")

    def __init__(self, limit: int, now: float) -> None:
        self.limit = limit
        self.rate = limit / MINUTE
        self._level = float(limit)
        self._at = now

    def level(self, now: float) -> float:
        """How many may be taken; below 0 where more was used than there was."""
        if now > self._at:
            self._level = min(self._level + (now - self._at) * self.rate, float(self.limit))
            self._at = now
        return self._level

    def wait(self, amount: float, now: float) -> float:
        """Seconds until `amount` may be taken; 0 for at once. More than the whole bucket counts as the whole."""
        lacking = min(amount, self.limit) - self.level(now)
        return lacking / self.rate if lacking > GRAIN else 0.0

    def take(self, amount: float, now: float) -> float:
        """Take `amount`, or the whole bucket where it is more; returns what was taken. `wait` told 0 before."""
        taken = min(amount, float(self.limit))
        self._level = self.level(now) - taken
        return taken

    def settle(self, taken: float, used: float, now: float) -> None:
        """Of what was `taken`, `used` was used: the rest goes back, or what is lacking is owed."""
        self._level = min(self.level(now) + taken - used, float(self.limit))

    def full(self, now: float) -> float:
        """Seconds until it is full again, if nothing is taken."""
        return (self.limit - self.level(now)) / self.rate

    def resize(self, limit: int, now: float) -> None:
        """From now on `limit` a minute; what was taken stays taken."""
        lacking = self.limit - self.level(now)
        self.limit = limit
        self.rate = limit / MINUTE
        self._level = limit - lacking
