"""What a person wants of a quantized model: a size, bits a weight, a mixture, types for some tensors.

Does not know: models.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

from msgspec import Meta

from penjing.amounts import size
from penjing.errors import InputError, SettingError
from penjing.settings import wanted

FEWEST, MOST = 1.5, 16.0
Bits = Annotated[float, Meta(ge=FEWEST, le=MOST)]
DEFAULT_BITS = 4.5


class TwoSizes(InputError):
    """Facts: `first`, `second` (options)."""

    template = "{first} and {second} say two sizes: give one of them."
    hint = "penjing quantize --help shows what each means."
    code = "two_sizes"


class TextNeeded(InputError):
    """Facts: none."""

    template = "What errors cost a model is measured on text, and there is none."
    hint = "Leave --text none and --imatrix FILE out, add a --text, or choose a --preset."
    code = "text_needed"


class NoneBeside(InputError):
    """Facts: none."""

    template = "--text none stands beside another --text."
    hint = "Leave one of them out."
    code = "none_beside_text"


@dataclass(frozen=True)
class Wish:
    """One of `bytes` of the file, `bits` a weight and `preset` is set; `types` are patterns of tensors' names with
    their type, the first that is found in a name counts."""

    bytes: int | None = None
    bits: float | None = None
    preset: str | None = None
    types: tuple[tuple[re.Pattern[str], str], ...] = ()

    @property
    def label(self) -> str:
        """For the file's name."""
        if self.preset:
            return self.preset
        return f"{self.bits:g}bit" if self.bits else f"{(self.bytes or 0) / 1e6:g}MB"


def wish(to: str | None, bits: str | None, preset: str | None, types: Sequence[str]) -> Wish:
    """What was typed; 4.5 bits a weight where nothing was. Raises TwoSizes, SettingError, NoAmount."""
    from penjing.shrink.quantize.mix import PRESETS

    named = [name for name, value in (("--to", to), ("--bits", bits), ("--preset", preset)) if value]
    if len(named) > 1:
        raise TwoSizes(first=named[0], second=named[1])
    patterns = tuple(map(_typed, types))
    if to:
        return Wish(bytes=size(to), types=patterns)
    if preset:
        known = {name.upper(): name for name in PRESETS}
        if preset.upper() not in known:
            raise SettingError(name="preset", value=preset, wanted=", ".join(PRESETS), source="--preset")
        return Wish(preset=known[preset.upper()], types=patterns)
    return Wish(bits=_bits(bits) if bits else DEFAULT_BITS, types=patterns)


def _bits(text: str) -> float:
    try:
        found = float(text)
    except ValueError:
        found = 0.0
    if not FEWEST <= found <= MOST:
        raise SettingError(name="bits", value=text, wanted=wanted(Bits), source="--bits")
    return found


def _typed(text: str) -> tuple[re.Pattern[str], str]:
    from penjing.shrink.quantize.mix import known_types

    pattern, found, kind = text.rpartition("=")
    wanted = "PATTERN=TYPE: ffn_down=Q6_K"
    try:
        compiled = re.compile(pattern)
    except re.error as error:
        raise SettingError(name="type", value=text, wanted=wanted, source="--type") from error
    if not found or not pattern:
        raise SettingError(name="type", value=text, wanted=wanted, source="--type")
    if kind.upper() not in known_types():
        raise SettingError(name="type", value=kind, wanted=", ".join(known_types()), source="--type")
    return compiled, kind.upper()
