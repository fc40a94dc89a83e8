"""How a model is trained: how long, how fast, how often it is kept and looked at.

Does not know: models, examples, torch.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from penjing.errors import SettingError
from penjing.settings import one_of
from penjing.shrink.optimizer import ADAMW, OPTIMIZERS

DECAYS = ("cosine", "linear", "constant")
PRECISIONS = ("auto", "f32", "bf16")


@dataclass(frozen=True)
class Regime:
    """How a model is trained. `steps` or `minutes` (0: no limit) end it, whichever comes first; `rate` is the peak
    learning rate, reached after the share `warmup` and then falling to 0 by `decay`; `optimizer` is AdamW, or Muon for
    the matrices of layers. `batch` examples a step, in `accumulate` passes. Every `save_every` steps its state is kept
    (the newest `keep`), every `look_every` the held-out examples are measured; after `patience` looks without a better
    one it stops (0: never). `precision`: `bf16` computes matrix products in bfloat16, `auto` does where that is
    faster. Raises SettingError."""

    steps: int = 3000
    minutes: float = 0.0
    rate: float = 2e-5
    batch: int = 8
    accumulate: int = 1
    warmup: float = 0.03
    decay: str = "cosine"
    optimizer: str = ADAMW
    weight_decay: float = 0.0
    clip: float = 1.0
    seed: int = 0
    pack: bool = True
    precision: str = "auto"
    save_every: int = 200
    look_every: int = 100
    patience: int = 5
    keep: int = 2

    def __post_init__(self) -> None:
        for name in ("batch", "accumulate", "save_every", "look_every", "keep"):
            self._require(name, getattr(self, name) >= 1, "a whole number of at least 1")
        for name in ("steps", "minutes", "weight_decay", "patience", "seed"):
            self._require(name, getattr(self, name) >= 0, "a number of at least 0")
        self._require("steps", bool(self.steps or self.minutes), "at least 1, where there is no --minutes")
        self._require("rate", 0 < self.rate < 1, "a number between 0 and 1")
        self._require("clip", self.clip > 0, "a number above 0")
        self._require("warmup", 0 <= self.warmup < 1, "a share from 0 up to 1")
        self._require("decay", self.decay in DECAYS, one_of(DECAYS))
        self._require("optimizer", self.optimizer in OPTIMIZERS, one_of(OPTIMIZERS))
        self._require("precision", self.precision in PRECISIONS, one_of(PRECISIONS))

    def _require(self, name: str, fine: bool, wanted: str) -> None:
        if not fine:
            raise SettingError(name=name, value=getattr(self, name), wanted=wanted, source="the training's options")

    def room(self, weights: int) -> int:
        """Bytes of the states on disk at most, where what is trained has `weights` bytes: these and two moments of
        each, one state more than are kept, and the best weights."""
        return weights * (3 * (self.keep + 1) + 1)

    def done(self, step: int, seconds: float) -> float:
        """The share that is done after `step` steps and `seconds` of computing, at most 1."""
        by_step = step / self.steps if self.steps else 0.0
        by_clock = seconds / (60 * self.minutes) if self.minutes else 0.0
        return min(1.0, max(by_step, by_clock))

    def rate_at(self, done: float) -> float:
        """The learning rate of a step that begins when the share `done` is done.

        >>> [round(Regime(rate=0.1, warmup=0.5, decay="linear").rate_at(done), 3) for done in (0.25, 0.5, 0.75, 1)]
        [0.05, 0.1, 0.05, 0.0]
        """
        if done < self.warmup:
            return self.rate * done / self.warmup
        left = (1 - done) / (1 - self.warmup)
        return self.rate * {"constant": 1.0, "linear": left, "cosine": (1 - math.cos(math.pi * left)) / 2}[self.decay]


MATTERS = ("rate", "batch", "warmup", "decay", "optimizer", "weight_decay", "clip", "seed", "pack")
"""Fields of a regime that a run may not change when it goes on."""
