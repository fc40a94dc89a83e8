"""What a person may set of distillation.

Does not know: models, torch.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from penjing.settings import one_of
from penjing.shrink.finetune.options import DEVICES, LEARNED, Tuning
from penjing.shrink.regime import Regime

FORWARD = "forward"
DIVERGENCES = (FORWARD, "reverse")


@dataclass(frozen=True)
class Distilling(Regime):
    """`divergence`: `forward` makes the student give weight wherever the teacher does, `reverse` only where it does.
    `temperature` flattens both before they are compared; `mix` is the share of the plain loss on the data's own words.
    `learn`: only the assistant's `answers`, or `all`. `length`, `held_out`, `heldout`: as of fine-tuning. Raises
    SettingError."""

    rate: float = 1e-4
    divergence: str = FORWARD
    temperature: float = 1.0
    mix: float = 0.0
    length: int = 2048
    learn: str = "answers"
    held_out: float = 0.05
    heldout: Path | None = None
    device: str = "auto"

    def __post_init__(self) -> None:
        super().__post_init__()
        for name, known in (("divergence", DIVERGENCES), ("learn", LEARNED), ("device", DEVICES)):
            self._require(name, getattr(self, name) in known, one_of(known))
        self._require("temperature", 0 < self.temperature <= 100, "a number above 0 (1: as they answer)")
        self._require("mix", 0 <= self.mix <= 1, "a share from 0 to 1")
        self._require("length", self.length >= 2, "at least 2 tokens")
        self._require("held_out", 0 <= self.held_out <= 0.5, "a share from 0 to 0.5")

    @property
    def reading(self) -> Tuning:
        """How examples are read: as fine-tuning reads them."""
        told = {name: getattr(self, name) for name in ("length", "learn", "held_out", "heldout", "seed")}
        return Tuning(**told)
