"""What a model would say with some of its matrices quantized, without a file of it: it runs as it is, and what such a
matrix gives is put right, as soon as it is computed, by the product with what rounding changes in it.

    (W + E) x = W x + E x,   E = quantized W - W, coded anew each time, a few rows at once

A file also rounds activations, to eight bits: that is not seen here, and small beside what few bits do to weights.

Does not know: which types are tried, and why.
"""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

from penjing.native.tensor import Tensor
from penjing.plan import mixes
from penjing.probe.facts import Model
from penjing.shrink.container import Info
from penjing.shrink.ggml import decode, encode
from penjing.shrink.quantize.collect import PLAIN, ROUTED
from penjing.shrink.quantize.errors import QUICK
from penjing.shrink.quantize.importance import Importance
from penjing.shrink.quantize.write import coder, rows_of, together
from penjing.shrink.stream import cores

LOOKED_UP = "GET_ROWS"
Floats = NDArray[np.float32]


class Errors:
    """Called as `native.context.Watcher` while an F32, F16 or BF16 file of `model` computes: its matrices give what
    they would with `types` by name, rounded as types are tried (`errors`). Raises as reading and quantizing do."""

    def __init__(self, model: Model, importance: Importance) -> None:
        self.model, self.importance = model, importance
        self.tensors = {each.name: each for each in model.tensors}
        self.types: Mapping[str, str] = {}

    def __call__(self, tensor: Tensor, before: bool) -> bool:
        if before:
            return tensor.op in (PLAIN, ROUTED, LOOKED_UP) and tensor.sources[0].name in self.types
        given = tensor.numbers()
        right = given.astype(np.float32)
        if tensor.op == PLAIN:
            self._plain(right, *tensor.sources)
        elif tensor.op == ROUTED:
            self._routed(right, *tensor.sources)
        else:
            self._looked_up(right, *tensor.sources)
        tensor.put(right.astype(given.dtype))
        return True

    def _plain(self, right: Floats, matrix: Tensor, activations: Tensor) -> None:
        """`right` [_, m, tokens, rows]; activations [_, m, tokens, columns] of so many matrices in turn."""
        numbers = activations.numbers().astype(np.float32)
        for index in range(right.shape[1]):
            rows = numbers[:, index].reshape(-1, numbers.shape[-1])
            changed = self._product(matrix.name, index % matrix.shape[2], rows)
            right[:, index] += changed.reshape(right[:, index].shape)

    def _routed(self, right: Floats, matrix: Tensor, activations: Tensor, ids: Tensor) -> None:
        """`right` [1, tokens, used, rows]; activations [1, tokens, used or 1, columns], ids [1, 1, tokens, used]."""
        numbers, chosen = activations.numbers()[0].astype(np.float32), ids.numbers()[0, 0]
        spread = np.broadcast_to(numbers, (*chosen.shape, numbers.shape[-1]))
        for expert in np.unique(chosen):
            mine = chosen == expert
            right[0][mine] += self._product(matrix.name, int(expert), spread[mine])

    def _looked_up(self, right: Floats, matrix: Tensor, ids: Tensor) -> None:
        """`right` [.., columns]: rows of the matrix itself. Graphs have a second such place, for inputs that are not
        all tokens; where they are it is passed over, and its ids are anything."""
        wanted, places = np.unique(ids.numbers(), return_inverse=True)
        if wanted[0] < 0 or wanted[-1] >= matrix.shape[1]:
            return
        read = rows_of(self.model, self.tensors[matrix.name])
        rows = np.concatenate([read(int(row), int(row) + 1) for row in wanted])
        right[...] = self._coded(matrix.name, rows, 0)[places.ravel()].reshape(right.shape)

    def _product(self, name: str, matrix: int, activations: Floats) -> Floats:
        """Of `activations` [n, columns] with the errors of one matrix: [n, rows]."""
        tensor = self.tensors[name]
        read, count = rows_of(self.model, tensor), tensor.shape[-2]
        step, begin = together(tensor.shape[-1]), matrix * count

        def part(first: int) -> Floats:
            rows = read(begin + first, begin + min(first + step, count))
            errors = self._coded(name, rows, begin + first) - rows
            return np.asarray(activations @ errors.T)

        with ThreadPoolExecutor(cores()) as pool:
            return np.concatenate(list(pool.map(part, range(0, count, step))), axis=1)

    def _coded(self, name: str, rows: Floats, first: int) -> Floats:
        """What `rows` become, of which the first is row `first` of the tensor."""
        shape = self.tensors[name].shape
        kind = mixes.fitting(self.types[name], shape)
        code = coder(Info(name, shape, kind), self.importance, QUICK)
        return decode(code(rows, first) if code else encode(rows, kind), kind, rows.shape[1])
