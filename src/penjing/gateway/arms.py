"""Two versions of a model side by side: which share of the conversations goes where, and what came of each answer.

Does not know: which of the two is better (`operate/release`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

STABLE, CANARY = "stable", "canary"


@dataclass(frozen=True)
class Split:
    """`share` (0 to 1) of the conversations go to the engine `to`. `seconds`: how long that may take to begin before
    the stable arm answers (0: for ever). `judged`: somebody hears of every answer."""

    to: str
    share: float
    seconds: float = 0.0
    judged: bool = False


@dataclass(frozen=True)
class Sample:
    """An answer of the model `model`. `conversation`: its lot, always the same number in [0, 1). `failed`: the engine
    did, not the request. Of what could not be measured there is None: `ttft` in seconds, `rate` in tokens/s."""

    model: str
    arm: str
    conversation: float
    failed: bool = False
    refused: bool = False
    ttft: float | None = None
    rate: float | None = None


@dataclass(frozen=True)
class Thumb:
    """What a person thought of an answer."""

    model: str
    arm: str
    conversation: float
    up: bool


Hear = Callable[["Sample | Thumb"], None]


class Arms:
    """`splits` by the model that is asked for; they may change at any time. Each of `hear` is told every answer and
    every thumb of models that are judged."""

    def __init__(self) -> None:
        self.splits: dict[str, Split] = {}
        self.hear: list[Hear] = []

    def tell(self, heard: Sample | Thumb) -> None:
        """To everybody who hears."""
        for each in self.hear:
            each(heard)
