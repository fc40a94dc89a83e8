"""One tensor as a model file's header describes it, without its numbers.

Does not know: file formats.
"""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Tensor:
    """`shape` in numpy's order (slowest dimension first, whatever the file's order is), `type` as the file's format
    spells it (`"Q8_0"`, `"BF16"`), `offset` in bytes from the start of `file`, `bytes` on disk. `file` is the shard's
    name relative to the model's folder."""

    name: str
    shape: tuple[int, ...]
    type: str
    offset: int
    bytes: int
    file: str = ""

    @property
    def elements(self) -> int:
        """How many numbers it holds."""
        return math.prod(self.shape)
