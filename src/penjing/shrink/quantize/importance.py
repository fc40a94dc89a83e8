"""What an error in each column of a matrix costs: how large the numbers are that it is multiplied with.

File: llama.cpp's GGUF form of it (tools/imatrix: general.type "imatrix"; for each matrix NAME.in_sum2
[matrices, columns] and NAME.counts [matrices, 1], f32). Other programs' files can be read, and they can read ours.

Does not know: how it is measured (`collect`), what is made of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from penjing.errors import PenjingError
from penjing.files import writing
from penjing.probe import gguf
from penjing.probe.tensor import Tensor
from penjing.shrink.container import Container, Info, Value, pack
from penjing.shrink.quantize.faults import ImportanceMismatch, NotImportance

SUMS, COUNTS = ".in_sum2", ".counts"
LEAST = 1e-6
BLOCK = 256
"""Columns whose products with each other are kept: a block of most types."""


@dataclass(frozen=True, eq=False)
class Columns:
    """Of one matrix (or one of each expert): `sums` of squares f32 [matrices, columns] over `counts` f32 [matrices]
    rows of activations. `products` f32 [matrices, blocks, BLOCK, BLOCK] are sums of products of each two columns of a
    block, None where nobody kept them (the last block is filled up with zeros)."""

    sums: NDArray[np.float32]
    counts: NDArray[np.float32]
    products: NDArray[np.float32] | None = None

    @property
    def means(self) -> NDArray[np.float32]:
        """Mean squares f32 [matrices, columns]; 1 for an expert that was never used. A column that was always 0 gets
        LEAST of the mean: with no weight at all, ggml would round whole blocks to nothing."""
        means = self.sums / np.maximum(self.counts[:, None], 1)
        typical = means.mean(axis=1, keepdims=True)
        return np.where(typical > 0, np.maximum(means, LEAST * typical), 1).astype(np.float32)


@dataclass(frozen=True)
class Importance:
    """Columns by the matrix's name. `texts` are names of what it was measured on, in `chunks` of `chunk_size` tokens;
    `path` is where it comes from."""

    columns: Mapping[str, Columns]
    texts: tuple[str, ...] = ()
    chunks: int = 0
    chunk_size: int = 0
    path: Path = field(default=Path("imatrix"))

    def weights(self, name: str, shape: tuple[int, ...]) -> NDArray[np.float32] | None:
        """Mean squares [matrices, columns] for a tensor of `shape`; None where it was not seen. Raises
        ImportanceMismatch."""
        found = self.columns.get(name)
        if found is None:
            return None
        matrices = shape[0] if len(shape) > 2 else 1
        if found.sums.shape[1] != shape[-1] or len(found.sums) not in (1, matrices):
            raise ImportanceMismatch(path=str(self.path), tensor=name, found=found.sums.shape[1], wanted=shape[-1])
        return found.means

    def unseen(self) -> list[str]:
        """Names of matrices with experts that no token of the text went to."""
        return [name for name, each in self.columns.items() if not each.counts.all()]


def save(path: Path, importance: Importance) -> Path:
    """Write it, whole or not at all, as llama.cpp's tools read it. Raises DiskFull."""
    metadata: dict[str, Value] = {
        "general.type": "imatrix",
        "imatrix.datasets": list(importance.texts) or [""],
        "imatrix.chunk_count": importance.chunks,
        "imatrix.chunk_size": importance.chunk_size,
    }
    arrays = {}
    for name, each in importance.columns.items():
        arrays[name + SUMS] = each.sums
        arrays[name + COUNTS] = each.counts[:, None]
    infos = [Info(name, array.shape, "F32") for name, array in arrays.items()]
    with writing(path) as stream:
        file = Container(stream, pack(metadata), infos)
        for array in arrays.values():
            file.put(np.ascontiguousarray(array, np.float32).tobytes())
            file.end()
    return path


def load(path: Path) -> Importance:
    """Read an importance matrix; the names of its texts are left unread. Raises NotImportance, ModelNotFound."""
    try:
        header = gguf.read(path)
    except PenjingError as error:
        if path.is_file():
            raise NotImportance(path=str(path), detail=error.message()) from error
        raise
    tensors = {tensor.name: tensor for tensor in header.tensors}
    names = [name.removesuffix(SUMS) for name in tensors if name.endswith(SUMS)]
    if not names:
        raise NotImportance(path=str(path), detail=f"no tensor of it is called ...{SUMS}")
    columns = {name: _columns(path, tensors, name) for name in names}
    facts = header.metadata
    chunks, size = (_count(facts.get(f"imatrix.chunk_{what}")) for what in ("count", "size"))
    return Importance(columns, (), chunks, size, path)


def _count(value: object) -> int:
    return value if isinstance(value, int) else 0


def _columns(path: Path, tensors: Mapping[str, Tensor], name: str) -> Columns:
    sums, counts = tensors[name + SUMS], tensors.get(name + COUNTS)
    if counts is None:
        raise NotImportance(path=str(path), detail=f"{name}{COUNTS} is missing")
    many, number = _numbers(path, sums).reshape(-1, sums.shape[-1]), _numbers(path, counts)
    if number.size not in (1, len(many)):
        raise NotImportance(path=str(path), detail=f"{name} has {len(many)} rows and {number.size} counts")
    if not (np.isfinite(many).all() and np.isfinite(number).all() and (many >= 0).all() and (number >= 0).all()):
        raise NotImportance(path=str(path), detail=f"{name} holds what is no sum of squares")
    return Columns(many, np.broadcast_to(number, (len(many),)).copy())


def _numbers(path: Path, tensor: Tensor) -> NDArray[np.float32]:
    if tensor.type != "F32":
        raise NotImportance(path=str(path), detail=f"{tensor.name} is {tensor.type}")
    return np.fromfile(path, "<f4", tensor.elements, offset=tensor.offset)
