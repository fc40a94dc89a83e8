"""The importance of columns, measured: calibration text through the engine, which shows what it multiplies.

Does not know: where texts come from, what is made of the result.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from penjing.native.batch import Batch
from penjing.native.context import Context
from penjing.native.model import Model
from penjing.native.tensor import Tensor
from penjing.probe import single
from penjing.progress import Progress, Report
from penjing.shrink.blas import one_thread
from penjing.shrink.quantize.importance import BLOCK, Columns, Importance
from penjing.shrink.quantize.mix import quantizable
from penjing.shrink.quantize.sums import Sums

PLAIN, ROUTED = "MUL_MAT", "MUL_MAT_ID"


@dataclass
class Watch:
    """Adds up what is multiplied with the matrices called `names`, and with `products` also each two columns'."""

    names: Collection[str]
    products: bool
    found: dict[str, Columns] = field(default_factory=dict)
    same: dict[str, str] = field(default_factory=dict)
    """Matrices that are multiplied with the same numbers as an earlier one, and that one."""
    owners: dict[int, str] = field(default_factory=dict)
    """The first matrix that each tensor of activations was seen with in this graph, by its address."""

    def __call__(self, tensor: Tensor, before: bool) -> bool:
        """As `native.context.Watcher` wants it."""
        if tensor.op not in (PLAIN, ROUTED):
            return not before
        name = tensor.sources[0].name
        if name not in self.names:
            return not before
        if not before:
            self._add(name, tensor)
        return True

    def _add(self, name: str, tensor: Tensor) -> None:
        matrix, activations, *ids = tensor.sources
        if tensor.op == PLAIN:
            owner = self.owners.setdefault(activations.address, name)
            if owner != name and self.found[owner].sums.shape[1] == matrix.shape[0]:
                self.same[name] = owner
                return
        numbers = activations.numbers().astype(np.float32)
        matrices = matrix.shape[2]
        if tensor.op == ROUTED:
            self._routed(name, numbers, ids[0].numbers(), matrices)
        elif matrices > 1:
            for index in range(numbers.shape[1]):
                self._rows(name, index % matrices, matrices, numbers[:, index].reshape(-1, numbers.shape[-1]))
        else:
            self._rows(name, 0, 1, numbers.reshape(-1, numbers.shape[-1]))

    def _routed(self, name: str, numbers: NDArray[np.float32], ids: NDArray[np.generic], experts: int) -> None:
        """`numbers` [1, tokens, used or 1, columns], `ids` [1, 1, tokens, used]."""
        chosen = ids.reshape(ids.shape[-2:])
        spread = np.broadcast_to(numbers[0], (*chosen.shape, numbers.shape[-1]))
        for expert in range(experts):
            self._rows(name, expert, experts, spread[chosen == expert])

    def _rows(self, name: str, index: int, matrices: int, rows: NDArray[np.float32]) -> None:
        """`rows` [n, columns] are multiplied with matrix `index` of `matrices`."""
        columns = rows.shape[1]
        if name not in self.found:
            blocks = -(-columns // BLOCK)
            keep = self.products and quantizable(name, (1, columns))
            products = np.zeros((matrices, blocks, BLOCK, BLOCK), np.float32) if keep else None
            self.found[name] = Columns(
                np.zeros((matrices, columns), np.float32), np.zeros(matrices, np.float32), products
            )
        into = self.found[name]
        into.counts[index] += len(rows)
        into.sums[index] += np.einsum("tc,tc->c", rows, rows)
        if into.products is not None:
            for block in range(into.products.shape[1]):
                part = rows[:, block * BLOCK : (block + 1) * BLOCK]
                into.products[index, block, : part.shape[1], : part.shape[1]] += part.T @ part

    def all(self) -> dict[str, Columns]:
        """What was found, by every matrix's name."""
        return {
            name: self.found[self.same.get(name, name)]
            for name in self.names
            if self.same.get(name, name) in self.found
        }


@one_thread()
def collect(
    source: Path,
    windows: NDArray[np.int32],
    *,
    texts: tuple[str, ...] = (),
    products: bool = False,
    threads: int | None = None,
    report: Report | None = None,
) -> Importance:
    """Read `windows` of tokens [n, context] with the model at `source` and add up the squares of what its matrices are
    multiplied with. The same call goes on where a long one was stopped (`Sums.forget` drops what was kept). Raises
    LoadFailed, LibraryMissing, LayoutUnknown, DiskFull; `report` cancels by raising."""
    names = {tensor.name for tensor in single.read(source).tensors if quantizable(tensor.name, tensor.shape)}
    sums = Sums(source, windows, products)
    page, found = sums.read()
    watch = Watch(names, products, found, page.same)
    length = windows.shape[1]
    with (
        Model(source, extra_buffers=False) as model,
        Context(model, length, threads=threads, batch=length, ubatch=length, watcher=watch) as context,
    ):
        batch = Batch(length)
        for number, window in enumerate(windows[page.done :], page.done):
            if report is not None:
                report(Progress(number / len(windows), "calibrating"))
            watch.owners.clear()
            context.memory.clear()
            batch.clear()
            batch.extend(window, 0, wanted=True)
            context.decode(batch)
            sums.keep(number + 1, watch.found, watch.same)
    sums.keep(len(windows), watch.found, watch.same, now=True)
    return Importance(watch.all(), texts, len(windows), length)
