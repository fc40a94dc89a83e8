"""What a person may set of fine-tuning.

Does not know: models, torch.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from penjing.errors import SettingError
from penjing.settings import one_of
from penjing.shrink.regime import Regime
from penjing.shrink.torch_bits.forms import BNB8, INT4, INT8, NF4

LORA, QLORA, FULL = METHODS = ("lora", "qlora", "full")
BASES = (NF4, INT8, INT4, BNB8)
LEARNED = ("answers", "all")
DEVICES = ("auto", "cpu", "cuda", "mps")
ALL_LINEAR = "all-linear"
SOURCE = "the options of finetune"


@dataclass(frozen=True)
class Tuning(Regime):
    """`method`: `lora` trains an adapter beside the weights, `qlora` the same beside weights kept in few bits, `full`
    the weights themselves. `base`: in which bits (`nf4` and, on CUDA, `bnb8` by bitsandbytes, `int8` and `int4` by
    torchao). `rank` of the adapter, its `alpha` (0: twice the rank) and `dropout`; `targets`: names of linear layers
    (`q_proj,v_proj`), or `all-linear`. Examples are cut at `length` tokens; `learn`: only the assistant's `answers`, or
    `all`. `epochs` counts in place of `steps` where it is not 0. Of the examples the share `held_out` is kept to
    measure on (a file of its own where `heldout` is given). `merge`: write a whole checkpoint, not an adapter.
    `recompute` activations, which saves memory and costs a third of the speed. Raises SettingError."""

    method: str = LORA
    base: str = NF4
    rank: int = 16
    alpha: float = 0.0
    dropout: float = 0.0
    targets: str = ALL_LINEAR
    length: int = 2048
    learn: str = "answers"
    epochs: float = 0.0
    held_out: float = 0.05
    heldout: Path | None = None
    merge: bool = False
    recompute: bool = False
    device: str = "auto"

    def __post_init__(self) -> None:
        super().__post_init__()
        for name, known in (("method", METHODS), ("base", BASES), ("learn", LEARNED), ("device", DEVICES)):
            self._require(name, getattr(self, name) in known, one_of(known))
        self._require("rank", 1 <= self.rank <= 4096, "a whole number from 1 to 4096")
        self._require("length", self.length >= 2, "at least 2 tokens")
        self._require("alpha", self.alpha >= 0, "a number of at least 0")
        self._require("epochs", self.epochs >= 0, "a number of at least 0")
        self._require("dropout", 0 <= self.dropout < 1, "a share from 0 up to 1")
        self._require("held_out", 0 <= self.held_out <= 0.5, "a share from 0 to 0.5")
        if self.method != QLORA and self.base != NF4:
            raise SettingError(name="base", value=self.base, wanted="left out without --method qlora", source=SOURCE)
        if self.method == FULL and self.merge:
            raise SettingError(name="merge", value=True, wanted="left out with --method full", source=SOURCE)

    @property
    def adapts(self) -> bool:
        """Whether an adapter is trained, not the weights."""
        return self.method != FULL

    @property
    def strength(self) -> float:
        """`alpha` as it is used."""
        return self.alpha or 2.0 * self.rank
