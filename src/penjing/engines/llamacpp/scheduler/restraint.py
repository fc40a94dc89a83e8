"""How much of the processor is left to others, by choice: always, on battery, when the machine is hot.

A share of the cores is kept by fewer threads, and where one thread is still too much by pauses between steps.

Does not know: steps, what is computed.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from penjing.probe import heat, power
from penjing.probe.reading import Reading

LOOK = 5.0
"""Seconds between two looks at battery and heat: each reads a few files."""
LONGEST = 1.0
"""Seconds of a pause at most: somebody may come."""
HOT = 85.0
"""Degrees of the hottest zone; laptops slow down by themselves between 90 and 105."""
SHARES = {"max": (1.0, 1.0), "balanced": (1.0, 0.5), "eco": (0.5, 0.25)}
"""Shares of the cores: usually, and on battery or when the machine is hot."""


@dataclass(frozen=True)
class Condition:
    """`battery`: it runs on it. `hot`: it is, or slows down because of it."""

    battery: bool = False
    hot: bool = False


def look() -> Condition:
    """This machine now."""
    reading = Reading()
    warmth = heat.read(reading)
    hottest = warmth.hottest
    return Condition(
        power.read(reading).on_battery, bool(warmth.throttling) or (hottest is not None and hottest.celsius >= HOT)
    )


class Restraint:
    """`cores` are all that this process may use, `share` (0 to 1) of them at most, and less as `mode` (of SHARES)
    says."""

    def __init__(
        self,
        cores: float,
        share: float = 1.0,
        mode: str = "max",
        *,
        look: Callable[[], Condition] = look,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._cores, self._share = cores, share
        self._usual, self._sparing = SHARES[mode]
        self._look, self._clock = look, clock
        self._sparing_now, self._looked = False, -LOOK

    @property
    def allowed(self) -> float:
        """Cores' time that may be taken now."""
        if self._usual != self._sparing and self._clock() - self._looked >= LOOK:
            now = self._look()
            self._sparing_now, self._looked = now.battery or now.hot, self._clock()
        return self._cores * self._share * (self._sparing if self._sparing_now else self._usual)

    def threads(self) -> int:
        """As many as may compute, at least one."""
        return max(1, int(self.allowed))

    def rest(self, seconds: float, threads: int) -> float:
        """How long to do nothing after `seconds` with so many threads."""
        return min(LONGEST, max(0.0, seconds * (threads / self.allowed - 1)))
