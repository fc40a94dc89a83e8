"""How long an engine may say nothing before it counts as hung.

Does not know: connections.
"""

from __future__ import annotations

from dataclasses import dataclass

from penjing.errors import EngineError


@dataclass(frozen=True)
class Silence:
    """Seconds; 0 for no limit. `first`: from the question to the first byte of the answer's body. `between`: between
    two pieces of it."""

    first: float = 0.0
    between: float = 0.0

    @property
    def step(self) -> float:
        """Seconds between two looks at it: often enough to be a quarter late at most; 0 where there is no limit."""
        limits = [each for each in (self.first, self.between) if each]
        return min(1.0, min(limits) / 4) if limits else 0.0


HERE = Silence(first=3600.0, between=300.0)
"""For engines of the house. A long prompt on a slow machine may be read for many minutes without a word; that an engine
hangs is seen sooner by its supervisor, which asks it whether it is well."""
AWAY = Silence(first=600.0, between=120.0)
"""For everybody else's: OpenAI's own clients wait ten minutes."""


class EngineSilent(EngineError):
    """Facts: `model`, `seconds`."""

    template = "The engine of {model} said nothing for {seconds} s and was given up."
    hint = "Send the request again, or allow more time."
    code = "engine_silent"
    status = 504
