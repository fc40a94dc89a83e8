"""What each type does to each tensor: the error of its products with the activations, relative to the products.

    E(type) = sum over rows of e^T H e / sum over rows of w^T H w,   e = w - q(w)

with H the sums of products of each two columns (within blocks), only their squares where those alone are known, and
1 where nothing is. A sample of rows is enough: errors of rows are alike.

Does not know: what an error costs the model's answers.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from penjing.plan import mixes
from penjing.probe.facts import Model
from penjing.probe.ggml import row_bytes
from penjing.probe.tensor import Tensor
from penjing.shrink.container import Info
from penjing.shrink.ggml import WEIGHED, decode, encode
from penjing.shrink.quantize.importance import BLOCK, Importance
from penjing.shrink.quantize.write import coder, rows_of

CANDIDATES = (
    "IQ2_XXS", "IQ2_XS", "Q2_K", "IQ3_XXS", "Q3_K", "IQ4_XS", "Q4_K", "IQ4_NL", "Q5_0", "Q5_K", "Q6_K",
    "Q8_0", "F16",
)  # fmt: skip
"""Types that are considered. Those with a codebook (IQ2, IQ3) cannot make good their own errors, and mostly lose to
scalar ones of their size."""
SAMPLE = 128
"""Rows of a tensor (or of an expert) that are tried."""
QUICK = 0
"""Sweeps of rounding after the first pass: they bring the same share at every type."""
EXPERTS = 4
"""Experts that are tried."""


def candidates(tensor: Tensor, seen: bool) -> list[str]:
    """Types that `tensor` may have, fewest bytes first; of several as large the last of CANDIDATES. `seen`: something
    is known of what its columns are worth."""
    found: dict[int, str] = {}
    for kind in CANDIDATES:
        if mixes.fitting(kind, tensor.shape) == kind and (seen or kind not in WEIGHED):
            found[row_bytes(kind, tensor.shape[-1])] = kind
    return [found[size] for size in sorted(found)]


def errors(model: Model, tensor: Tensor, kinds: Sequence[str], importance: Importance) -> dict[str, float]:
    """E of each of `kinds` for `tensor`. Raises as reading and quantizing do."""
    read = rows_of(model, tensor)
    found = dict.fromkeys(kinds, 0.0)
    whole = 0.0
    pieces, experts = _sample(tensor), len(tensor.shape) > 2
    for some in [[each] for each in pieces] if experts else [pieces]:  # rows of one matrix are coded together
        numbers = np.concatenate([read(first, first + count) for first, count in some])
        matrix, begin = (some[0][0] // tensor.shape[-2], some[0][0]) if experts else (0, 0)
        whole += energy(numbers, tensor, matrix, importance)
        for kind in kinds:
            code = coder(Info(tensor.name, tensor.shape, kind), importance, QUICK)
            coded = code(numbers, begin) if code else encode(numbers, kind)
            found[kind] += energy(decode(coded, kind, tensor.shape[-1]) - numbers, tensor, matrix, importance)
    return {kind: error / max(whole, 1e-30) for kind, error in found.items()}


def sampled(tensors: Sequence[Tensor]) -> int:
    """Numbers of `tensors` that are tried."""
    return sum(count * tensor.shape[-1] for tensor in tensors for _, count in _sample(tensor))


def _sample(tensor: Tensor) -> list[tuple[int, int]]:
    """Where the sample's rows begin and how many follow each other: pieces spread over the tensor."""
    rows = tensor.elements // tensor.shape[-1]
    if len(tensor.shape) > 2:
        each, experts = tensor.shape[-2], rows // tensor.shape[-2]
        chosen = np.linspace(0, experts - 1, min(EXPERTS, experts)).astype(int)
        return [(int(expert) * each, min(SAMPLE, each)) for expert in chosen]
    pieces = min(4, max(1, rows // SAMPLE))
    size = min(rows, SAMPLE // pieces)
    return [(int(first), size) for first in np.linspace(0, rows - size, pieces)]


def energy(rows: NDArray[np.float32], tensor: Tensor, matrix: int, importance: Importance) -> float:
    """Sum over `rows` [n, columns] of r^T H r, for a row of activations."""
    columns = importance.columns.get(tensor.name)
    if columns is None:
        return float(np.einsum("rc,rc->", rows, rows, dtype=np.float64))
    matrix = min(matrix, len(columns.sums) - 1)
    count = max(float(columns.counts[matrix]), 1.0)
    if columns.products is None:
        return float(np.einsum("rc,c->", rows.astype(np.float64) ** 2, columns.means[matrix]))
    total = 0.0
    for index, product in enumerate(columns.products[matrix]):
        part = rows[:, index * BLOCK : (index + 1) * BLOCK]
        side = part.shape[1]
        total += float(np.einsum("rc,rc->", part @ product[:side, :side], part, dtype=np.float64))
    return total / count
