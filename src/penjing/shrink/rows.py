"""Rows of one tensor in a model file, read when asked for, as f32.

Does not know: which rows are wanted why.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from penjing.errors import ModelCorrupt
from penjing.probe.faults import Truncated
from penjing.probe.tensor import Tensor
from penjing.shrink.ggml import from_bits

DTYPES = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": "<u2"}


class NotFinite(ModelCorrupt):
    """A weight that is no number. Facts: `path`, `tensor`, `row`, `column`, `value`."""

    template = "{path}: {tensor} has {value} in row {row}, column {column}."
    hint = "Training went wrong there, or the file is damaged: take an earlier checkpoint, or fetch it again."
    code = "weights_not_finite"


@dataclass(frozen=True)
class Rows:
    """Rows of `tensor` in the file `path`. `order[i]` is the row of the file that becomes row i; `add` is added to
    every number. A tensor of one dimension is one row."""

    path: Path
    tensor: Tensor
    order: NDArray[np.intp] | None = None
    add: float = 0.0

    def __call__(self, first: int, last: int) -> NDArray[np.float32]:
        """Rows [first, last), f32 [last - first, width]. Raises Truncated where the file has shrunk since it was
        probed, NotFinite for a matrix that holds NaN or an infinity."""
        if self.order is None:
            numbers = self._read(first, last)
        else:
            wanted = self.order[first:last]
            low = int(wanted.min())
            numbers = self._read(low, int(wanted.max()) + 1)[wanted - low]
        return numbers + np.float32(self.add) if self.add else numbers

    def _read(self, first: int, last: int) -> NDArray[np.float32]:
        dtype = np.dtype(DTYPES[self.tensor.type])
        width = self.tensor.shape[-1]
        offset = self.tensor.offset + first * width * dtype.itemsize
        raw = np.fromfile(self.path, dtype, (last - first) * width, offset=offset)
        if raw.size < (last - first) * width:
            wanted = offset + (last - first) * width * dtype.itemsize
            size = self.path.stat().st_size
            raise Truncated(path=str(self.path), size=size, wanted=wanted, missing=wanted - size, name=self.tensor.name)
        numbers = from_bits(raw, self.tensor.type).reshape(last - first, width)
        if len(self.tensor.shape) > 1:  # factors of one dimension may be infinite: what a rotation leaves alone
            self._require_finite(numbers, first)
        return numbers

    def _require_finite(self, numbers: NDArray[np.float32], first: int) -> None:
        with np.errstate(over="ignore", invalid="ignore"):
            if np.isfinite(numbers.sum()):  # one pass; large numbers may overflow it
                return
        wrong = np.argwhere(~np.isfinite(numbers))
        if len(wrong):
            row, column = wrong[0]
            raise NotFinite(
                path=str(self.path), tensor=self.tensor.name, row=first + int(row), column=int(column),
                value=float(numbers[row, column]),
            )  # fmt: skip
