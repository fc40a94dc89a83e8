"""How many cores other programs leave, looked at while steps are computed.

Programs that give way (`nice`) take none.

Does not know: steps, threads.
"""

from __future__ import annotations

import time
from collections.abc import Callable

LOOK = 0.1
"""Seconds after which a look tells something: the system counts in hundredths of one."""
WORKED = 0.5
"""The share of them that must have gone into steps; else it is told of a time when nobody had anything to compute."""
RESTED = 0.5
"""Seconds without a step after which nothing is known any more. All cores are taken for free then: what comes first is
a prompt, which a thread too many hardly delays (bench/engine.py, `busy`), and one too few does."""


class Room:
    """Of `cores`. `lap` returns how many of them other programs took since it was called last."""

    def __init__(
        self, cores: int, *, lap: Callable[[], float] | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._cores, self._clock, self._worked = cores, clock, 0.0
        self._looked = self._asked = clock()
        self._lap = lap

    def free(self, last: float) -> float | None:
        """Cores, or None where there is nothing new. Asked before each step; the one before took `last` seconds."""
        now = self._clock()
        spent, lap = now - self._looked, self._lap
        rested, self._asked = now - self._asked - last, now
        self._worked += last
        if spent < LOOK:
            return None
        worked, self._worked = self._worked, 0.0
        if lap is None:  # psutil takes 10 ms, which a start would be longer
            from penjing.probe.others import Others

            self._lap, self._looked = Others(polite=False).lap, now
            return None
        self._looked, taken = now, lap()
        if rested >= RESTED:
            return self._cores
        return self._cores - taken if worked > WORKED * spent else None
