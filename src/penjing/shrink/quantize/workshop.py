"""Files of one model with many choices of types, tried one after another: what was coded once is kept.

Does not know: which choices are good.
"""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from penjing.files import filling
from penjing.probe.facts import Model
from penjing.probe.tensor import Tensor
from penjing.progress import Report
from penjing.shrink import container
from penjing.shrink.container import Container, Info
from penjing.shrink.ggml import encode
from penjing.shrink.quantize.importance import Importance
from penjing.shrink.quantize.mix import header
from penjing.shrink.quantize.write import coder, kept, quantize, rows_of
from penjing.shrink.stream import cores

KEPT = 1 << 29
"""Bytes of 16-bit weights up to which everything that was coded stays in memory (several times this in all)."""


def file_bytes(model: Model, types: Mapping[str, str]) -> int:
    """Bytes of a file of `model` with `types` by name, others as they are."""
    infos = [Info(one.name, one.shape, types.get(one.name, one.type)) for one in model.tensors]
    return container.size(kept(model) + header("F16"), infos)


class Workshop:
    """Writes `model` with types by name, as it is written in the end. Raises as `quantize`."""

    def __init__(self, model: Model, importance: Importance) -> None:
        self.model, self.importance = model, importance
        self.small = model.bytes <= KEPT
        self._metadata = kept(model)
        self._coded: dict[tuple[str, str], NDArray[np.uint8]] = {}

    def write(self, path: Path, types: Mapping[str, str], report: Report | None = None) -> Path:
        """The file with these types; tensors that are not named stay as they are."""
        if not self.small:
            quantize(self.model.path, path, types, importance=self.importance, report=report)
            return path
        tensors = self.model.tensors
        with ThreadPoolExecutor(cores()) as pool:
            coded = list(pool.map(lambda one: self._code(one, types.get(one.name, one.type)), tensors))
        infos = [Info(one.name, one.shape, types.get(one.name, one.type)) for one in tensors]
        metadata = self._metadata + header("F16")
        with filling(path.parent, container.size(metadata, infos)), path.open("wb") as stream:  # for one measurement
            file = Container(stream, metadata, infos)
            for each in coded:
                file.put(each.data)
                file.end()
        return path

    def _code(self, tensor: Tensor, kind: str) -> NDArray[np.uint8]:
        key = tensor.name, kind
        if key not in self._coded:
            rows = rows_of(self.model, tensor)(0, tensor.elements // tensor.shape[-1])
            code = coder(Info(tensor.name, tensor.shape, kind), self.importance)
            self._coded[key] = np.ascontiguousarray(code(rows, 0) if code else encode(rows, kind))
        return self._coded[key]
