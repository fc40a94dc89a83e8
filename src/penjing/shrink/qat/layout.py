"""Where a tensor of a GGUF file stands in the checkpoint that it was converted from.

Does not know: families of models; whoever converts them gives a `Layout`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Place:
    """`name` of the checkpoint's tensor; row i of the file is its row `order[i]` (None: the rows are the same)."""

    name: str
    order: NDArray[np.intp] | None = None

    def from_file(self, rows: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """`rows` [n, ...] of the file in the checkpoint's order."""
        if self.order is None:
            return rows
        there = np.empty_like(rows)
        there[self.order] = rows
        return there

    def to_file(self, rows: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """`rows` [n, ...] of the checkpoint in the file's order."""
        return rows if self.order is None else np.ascontiguousarray(rows[self.order])


Layout = Callable[[Path], Mapping[str, Place]]
"""`layout(checkpoint folder)`: the places of all tensors of its GGUF file, by their names there."""
