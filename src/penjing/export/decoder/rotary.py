"""Rotary position embedding: how fast each pair of a head turns, and the cosines and sines of positions.

Source: transformers 5, `modeling_rope_utils.py`, computed in the same order in float32, so that the numbers are equal
to the last bit.

Does not know: attention.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import NoReturn

import torch
from torch import Tensor, nn

from penjing.export.decoder.faults import DecoderOption
from penjing.export.decoder.shape import Shape
from penjing.export.gguf.config import Rope, number

KINDS = ("default", "linear", "llama3", "yarn", "longrope")


class Rotary(nn.Module):
    """The angles of positions. With `rows`, cosines and sines are tables of so many positions, which keeps them exact
    where a runtime computes in half precision; without, they are computed."""

    def __init__(self, frequencies: Tensor, scale: float, rows: int = 0) -> None:
        super().__init__()
        self.frequencies = frequencies  # no buffer: it stays float32 where the module becomes half
        self.scale = scale
        self.rows = rows
        if rows:
            cos, sin = self._computed(torch.arange(rows))
            self.register_buffer("cos", cos, persistent=False)
            self.register_buffer("sin", sin, persistent=False)

    def forward(self, positions: Tensor) -> tuple[Tensor, Tensor]:
        """Cosines and sines of `positions` [n]: two of [n, rotated], the second half like the first."""
        if self.rows:
            return self.cos[positions], self.sin[positions]
        return self._computed(positions)

    def _computed(self, positions: Tensor) -> tuple[Tensor, Tensor]:
        angles = positions.to(torch.float32)[:, None] * self.frequencies[None, :]
        twice = torch.cat((angles, angles), -1)
        return twice.cos() * self.scale, twice.sin() * self.scale


def rotate(heads: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """`heads` [1, n, heads, head] turned by the angles [n, 1, rotated] of their positions; what is beyond the rotated
    part stays."""
    size = cos.shape[-1]
    turned, rest = heads[..., :size], heads[..., size:]
    half = size // 2
    other = torch.cat((-turned[..., half:], turned[..., :half]), -1)
    turned = turned * cos + other * sin
    return turned if size == heads.shape[-1] else torch.cat((turned, rest), -1)


def rotaries(shape: Shape, folder: Path, context: int, rows: int = 0) -> tuple[Rotary, Rotary]:
    """What layers that see everything use, and what those with a window do (the same where they share it). `context`
    decides between the two sets of factors of `longrope`. Raises DecoderOption."""
    everywhere = Rotary(*frequencies(shape, folder, context), rows)
    if not shape.rope.local_theta or not any(shape.sliding):
        return everywhere, everywhere
    return everywhere, Rotary(_plain(shape.rope.local_theta, shape.rotated), 1.0, rows)


def frequencies(shape: Shape, folder: Path, context: int) -> tuple[Tensor, float]:
    """Radians a position for each pair [rotated / 2] float32, and what cosines and sines are multiplied by. Raises
    DecoderOption."""
    rope = shape.rope
    plain = _plain(rope.theta, shape.rotated)
    if rope.kind == "default":
        return plain, 1.0
    values = Values(folder, rope)
    if rope.kind == "linear":
        return plain / values.number("factor"), 1.0
    if rope.kind == "llama3":
        return _llama3(plain, values, shape.original), 1.0
    if rope.kind == "yarn":
        return _yarn(shape, values)
    if rope.kind == "longrope":
        return _longrope(shape, values, context)
    raise DecoderOption(path=str(folder), option="rope_type", value=rope.kind, wanted=" / ".join(KINDS))


class Values:
    """The settings of one way to stretch the rotation."""

    def __init__(self, folder: Path, rope: Rope) -> None:
        self.folder = folder
        self.values: Mapping[str, object] = rope.values

    def number(self, name: str, default: float | None = None) -> float:
        """A number above 0. Raises DecoderOption."""
        found = number(self.values.get(name))
        if found is None and default is not None:
            return default
        if found is None or found <= 0:
            self.refuse(name, "a number above 0")
        return found

    def factors(self, name: str, count: int) -> Tensor:
        """[count] float32. Raises DecoderOption."""
        said = self.values.get(name)
        if not isinstance(said, list) or len(said) != count or not all(isinstance(each, (int, float)) for each in said):
            self.refuse(name, f"[{count}]")
        return torch.tensor(said, dtype=torch.float32)

    def refuse(self, name: str, wanted: str) -> NoReturn:
        """Raises DecoderOption."""
        raise DecoderOption(path=str(self.folder), option=f"rope {name}", value=self.values.get(name), wanted=wanted)


def _exponents(size: int) -> Tensor:
    return torch.arange(0, size, 2, dtype=torch.int64).float() / size


def _plain(theta: float, size: int) -> Tensor:
    return 1.0 / (theta ** _exponents(size))


def _llama3(plain: Tensor, values: Values, original: int) -> Tensor:
    """Long waves turn `factor` times slower, short ones as they are, a ramp between."""
    factor = values.number("factor")
    low, high = values.number("low_freq_factor"), values.number("high_freq_factor")
    waves = 2 * math.pi / plain
    slower = torch.where(waves > original / low, plain / factor, plain)
    smooth = (original / waves - low) / (high - low)
    smoothed = (1 - smooth) * slower / factor + smooth * slower
    between = ~(waves < original / high) & ~(waves > original / low)
    return torch.where(between, smoothed, slower)


def _yarn(shape: Shape, values: Values) -> tuple[Tensor, float]:
    """Fast pairs as they are, slow ones stretched (arXiv 2309.00071, section 3)."""
    for name in ("mscale", "mscale_all_dim", "truncate"):
        if values.values.get(name) not in (None, 0, True):
            values.refuse(name, "-")
    size, theta, original = shape.rotated, shape.rope.theta, shape.original
    factor = values.number("factor", shape.context / original)
    scale = values.number("attention_factor", 1.0 if factor <= 1 else 0.1 * math.log(factor) + 1.0)

    def turning(times: float) -> float:
        return (size * math.log(original / (times * 2 * math.pi))) / (2 * math.log(theta))

    low = max(math.floor(turning(values.number("beta_fast", 32.0))), 0)
    high: float = min(math.ceil(turning(values.number("beta_slow", 1.0))), size - 1)
    if low == high:
        high += 0.001  # a ramp without a width would divide by zero
    ramp = ((torch.arange(size // 2, dtype=torch.float32) - low) / (high - low)).clamp(0, 1)
    waves = theta ** _exponents(size)
    kept = 1 - ramp
    return 1.0 / (factor * waves) * (1 - kept) + 1.0 / waves * kept, scale


def _longrope(shape: Shape, values: Values, context: int) -> tuple[Tensor, float]:
    """Factors of each pair, one set up to the trained length and one beyond (arXiv 2402.13753). A graph cannot change
    from one to the other while it runs: the length it was exported for decides, as llama.cpp does it."""
    original = shape.original
    factor = values.number("factor", shape.context / original)
    scale = values.number(
        "attention_factor", 1.0 if factor <= 1 else math.sqrt(1 + math.log(factor) / math.log(original))
    )
    name = "long_factor" if context > original else "short_factor"
    factors = values.factors(name, shape.rotated // 2)
    return 1.0 / (factors * shape.rope.theta ** _exponents(shape.rotated)), scale
