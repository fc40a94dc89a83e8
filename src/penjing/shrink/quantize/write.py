"""A GGUF file made smaller: tensor by tensor, disk to disk, a few rows at a time.

Does not know: which types are good for a model (`mix`, `budget`), what its columns are worth (`importance`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from penjing.plan import mixes
from penjing.probe import gguf, single
from penjing.probe.facts import Model
from penjing.probe.tensor import Tensor
from penjing.probe.view import viewing
from penjing.progress import Report
from penjing.shrink.blas import one_thread
from penjing.shrink.container import Info
from penjing.shrink.ggml import encode
from penjing.shrink.quantize.compensate import ROUNDS, compensated, hessian
from penjing.shrink.quantize.faults import AlreadyQuantized, TensorUnknown, TypeUnknown
from penjing.shrink.quantize.importance import Importance
from penjing.shrink.quantize.mix import FLOATS, Quantized, commonest, header, known_types, mix_of, summary
from penjing.shrink.rows import DTYPES, Rows
from penjing.shrink.stream import Flow, write

WHOLE = ("general.alignment", "split.")
"""Metadata of how a file is laid out, which is seldom how its copy is."""
REPLACED = ("general.file_type", "general.quantization_version", *WHOLE)
SIDE_BY_SIDE = 512, 2048
"""Rows that are coded at once, at least and at most: errors are made good column after column, for all these rows
together. Workers that have few rows mostly wait for each other (two of them with 2,048 rows are 1.5 times as fast as
with 512)."""
NUMBERS_AT_ONCE = 1 << 24
"""In these rows, where they are wide: 64 MB of each worker."""
Code = Callable[[NDArray[np.float32], int], NDArray[np.uint8]]


@one_thread()
def quantize(
    source: Path,
    target: Path,
    types: int | str | Mapping[str, str],
    *,
    importance: Importance | None = None,
    rounds: int = ROUNDS,
    report: Report | None = None,
) -> Quantized:
    """Write the F32, F16 or BF16 model `source` (a .gguf or its first shard) to `target`, whole or not at all. `types`
    is bits per weight (2, 3, 4, 5, 6, 8, 16, 32), a preset (`mix.PRESETS`), or a type for each tensor by name; what is
    not named keeps its own. Columns are weighed by `importance`; where it has products of theirs, errors are made good
    in `rounds` sweeps. Raises AlreadyQuantized, ImportanceMissing, ImportanceMismatch, ModelCorrupt, NotFinite,
    DiskFull, SettingError, TypeUnknown, TensorUnknown."""
    model = single.read(source)
    require_floats(model)
    wanted = dict(types) if isinstance(types, Mapping) else _of_mix(model, types, importance)
    if isinstance(types, Mapping):
        _check(model, wanted)
        wanted = {tensor.name: wanted.get(tensor.name, tensor.type) for tensor in model.tensors}
    flows = [_flow(model, tensor, wanted[tensor.name], importance, rounds) for tensor in model.tensors]
    label = commonest([flow.info for flow in flows]) if isinstance(types, Mapping) else mix_of(model, types).label
    metadata = kept(model) + header(label)
    infos = write(target, metadata, flows, stage="quantizing", report=report)
    hessian.cache_clear()  # it holds on to the products of the last tensors
    return summary(target, label, infos, wanted)


def require_floats(model: Model) -> None:
    """Raises AlreadyQuantized."""
    if any(tensor.type not in DTYPES for tensor in model.tensors):
        raise AlreadyQuantized(path=str(model.path), label=model.quantization)


def kept(model: Model, replaced: tuple[str, ...] = REPLACED) -> list[bytes]:
    """The metadata entries of `model`'s file that do not depend on the types of its tensors, or all but those whose
    keys begin as one of `replaced`."""
    found = gguf.read(model.files[0])
    with viewing(model.files[0]) as view:
        return [view.content[begin:end] for key, (begin, end) in found.spans.items() if not key.startswith(replaced)]


def rows_of(model: Model, tensor: Tensor) -> Rows:
    """How `tensor` is read."""
    return Rows(model.path.parent / tensor.file, tensor)


def _of_mix(model: Model, wish: int | str, importance: Importance | None) -> dict[str, str]:
    mix = mix_of(model, wish, weighed=importance is not None)
    return {tensor.name: mix.wanted(tensor.name, len(tensor.shape)) for tensor in model.tensors}


def _check(model: Model, types: Mapping[str, str]) -> None:
    names, known = {tensor.name for tensor in model.tensors}, known_types()
    for name, kind in types.items():
        if kind not in known:
            raise TypeUnknown(kind=kind, tensor=name, known=", ".join(known))
        if name not in names:
            raise TensorUnknown(tensor=name, path=str(model.path))


def _flow(model: Model, tensor: Tensor, wanted: str, importance: Importance | None, rounds: int) -> Flow:
    info = Info(tensor.name, tensor.shape, mixes.fitting(wanted, tensor.shape))
    code = coder(info, importance, rounds)
    known = importance.columns.get(tensor.name) if importance and code else None
    side_by_side = together(info.shape[-1]) if known and known.products is not None else 1
    return Flow(info, rows_of(model, tensor), code, side_by_side)


def together(columns: int) -> int:
    """How many rows of so many `columns` are coded at once."""
    least, most = SIDE_BY_SIDE
    return max(least, min(most, NUMBERS_AT_ONCE // columns))


def coder(info: Info, importance: Importance | None, rounds: int = ROUNDS) -> Code | None:
    """How rows of `info` are coded where something is known of the worth of its columns; None where nothing is."""
    weights = importance.weights(info.name, info.shape) if importance and len(info.shape) > 1 else None
    if weights is None or importance is None or info.type in FLOATS:
        return None
    each = info.rows // len(weights)
    columns = importance.columns[info.name]

    def code(rows: NDArray[np.float32], first: int) -> NDArray[np.uint8]:
        made = []
        for begin, end in spans(first, len(rows), each):
            some, matrix = rows[begin - first : end - first], begin // each
            if columns.products is None:
                made.append(encode(some, info.type, weights[matrix]))
            else:
                made.append(compensated(some, info.type, columns, matrix, rounds))
        return np.concatenate(made)

    return code


def spans(first: int, count: int, each: int) -> Sequence[tuple[int, int]]:
    """Rows [first, first + count) cut at multiples of `each`.

    >>> spans(3, 6, 4)
    [(3, 4), (4, 8), (8, 9)]
    """
    edges = [first, *range((first // each + 1) * each, first + count, each), first + count]
    return list(pairwise(edges))
