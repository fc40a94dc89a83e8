"""How many cores other programs leave, looked at while steps are computed.

Does not know: steps, threads.
"""

from __future__ import annotations

import time
from collections.abc import Callable

LOOK, STALE = 0.1, 1.0
"""Seconds after which a look tells something, and after which it tells of the time before, when nothing was computed.
The system counts in hundredths of a second."""


class Room:
    """Of `cores`. `lap` returns how many of them other programs took since it was called last."""

    def __init__(
        self, cores: int, *, lap: Callable[[], float] | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._cores, self._clock, self._looked = cores, clock, clock()
        self._lap = lap

    def free(self) -> float | None:
        """Cores, or None where there is nothing new."""
        now = self._clock()
        spent, lap = now - self._looked, self._lap
        if spent < LOOK:
            return None
        if lap is None:  # psutil takes 10 ms, which a start would be longer
            from penjing.probe.others import Others

            self._lap, self._looked = Others().lap, now
            return None
        self._looked, taken = now, lap()
        return self._cores - taken if spent < STALE else None
