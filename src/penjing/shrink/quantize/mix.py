"""Which ggml type each tensor gets in one of llama.cpp's mixtures, and what a file made so says of itself.

The rules are `plan.mixes`': what is planned is what is made.

Does not know: how numbers are rounded, where they come from.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from penjing.errors import SettingError
from penjing.plan import mixes
from penjing.probe.facts import Model
from penjing.probe.ggml import TYPES
from penjing.shrink import container
from penjing.shrink.bits import BY_BITS, SAID
from penjing.shrink.container import Info

PRESETS = {
    "F32": 0, "F16": 1, "Q4_0": 2, "Q4_1": 3, "Q8_0": 7, "Q5_0": 8, "Q5_1": 9, "Q2_K": 10, "Q3_K_S": 11, "Q3_K_M": 12,
    "Q3_K_L": 13, "Q4_K_S": 14, "Q4_K_M": 15, "Q5_K_S": 16, "Q5_K_M": 17, "Q6_K": 18, "Q2_K_S": 21, "IQ4_NL": 25,
    "IQ3_S": 26, "IQ3_M": 27, "IQ4_XS": 30, "BF16": 32,
}  # fmt: skip
"""Mixtures that are made, with their number in `general.file_type` (llama.h, llama_ftype)."""
MOSTLY = {
    "Q3_K": 11, "Q4_K": 14, "Q5_K": 16, "IQ2_XXS": 19, "IQ2_XS": 20, "IQ3_XXS": 23, "IQ1_S": 24, "IQ2_S": 28,
    "IQ1_M": 31,
}  # fmt: skip
"""The same for types that no mixture is named after."""
QUANTIZATION_VERSION = 2  # ggml.h, GGML_QNT_VERSION
FLOATS = ("F32", "F16", "BF16", "F64")
HEAD = "output.weight"


@dataclass(frozen=True)
class Quantized:
    """What was written: the types with their number of tensors, the names that got another type than was wanted (their
    rows are no multiple of the type's block) with that type, bytes of the tensors."""

    path: Path
    label: str
    types: dict[str, int]
    fallbacks: dict[str, str]
    bytes: int


@dataclass(frozen=True)
class Mix:
    """Types for one model: `wish` is a preset's name or bits per weight, `layers` what the model has, `tied` whether
    embedding and head are one tensor, `shared` how many heads of queries use one head of keys and values, `weighed`
    whether an importance matrix is used. Raises SettingError."""

    wish: int | str
    layers: int
    tied: bool
    shared: int = 1
    weighed: bool = False

    def __post_init__(self) -> None:
        if isinstance(self.wish, int) and self.wish not in BY_BITS:
            raise SettingError(name="bits", value=self.wish, wanted=SAID, source="--bits")
        if isinstance(self.wish, str) and self.wish not in PRESETS:
            raise SettingError(name="preset", value=self.wish, wanted=", ".join(PRESETS), source="--preset")

    @property
    def label(self) -> str:
        """The mixture's name."""
        return BY_BITS[self.wish] if isinstance(self.wish, int) else self.wish

    def wanted(self, name: str, dimensions: int) -> str:
        """The type `name` deserves, before its row length is looked at."""
        return mixes.wanted(
            self.label, name, dimensions, self.layers, tied=self.tied, shared=self.shared, weighed=self.weighed
        )

    def choose(self, name: str, shape: Sequence[int]) -> str:
        """The type `name` gets."""
        return mixes.fitting(self.wanted(name, len(shape)), tuple(shape))

    @property
    def header(self) -> list[bytes]:
        """The metadata entries that say what was chosen."""
        return header(self.label)

    def summary(self, path: Path, infos: Sequence[Info]) -> Quantized:
        """What writing `infos` came to."""
        return summary(path, self.label, infos, {info.name: self.wanted(info.name, len(info.shape)) for info in infos})


def mix_of(model: Model, wish: int | str, *, weighed: bool = False) -> Mix:
    """The mixture `wish` for `model`. Raises SettingError."""
    tied = HEAD not in {tensor.name for tensor in model.tensors}
    return Mix(wish, model.layers, tied, mixes.sharing(model), weighed)


def quantizable(name: str, shape: Sequence[int]) -> bool:
    """Whether a tensor may be given fewer bits at all."""
    return len(shape) > 1 and not mixes.KEPT.search(name)


def header(label: str) -> list[bytes]:
    """The metadata entries of a file that is mostly `label`, a preset or a type."""
    number = PRESETS.get(label, MOSTLY.get(label, PRESETS["F16"]))
    return container.pack({"general.file_type": number, "general.quantization_version": QUANTIZATION_VERSION})


def commonest(infos: Sequence[Info]) -> str:
    """The type that most of the numbers have."""
    share: Counter[str] = Counter()
    for info in infos:
        share[info.type] += info.bytes
    return share.most_common(1)[0][0] if share else "F32"


def summary(path: Path, label: str, infos: Sequence[Info], wanted: Mapping[str, str]) -> Quantized:
    """What writing `infos` came to where `wanted` was wished for."""
    fallbacks = {info.name: info.type for info in infos if info.type != wanted[info.name]}
    return Quantized(
        path, label, dict(Counter(info.type for info in infos)), fallbacks, sum(info.bytes for info in infos)
    )


def known_types() -> tuple[str, ...]:
    """Types that weights can have."""
    return tuple(name for _, (name, block, _) in sorted(TYPES.items()) if block > 1 or name in FLOATS)
