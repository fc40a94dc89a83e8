"""What the operations of our Core ML programs compute, in numpy: the sense of Apple's definitions (coremltools,
`converters/mil/mil/ops/defs`, iOS 15 to 18), for those that a decoder needs.

Floating-point arrays are float32 here whatever MIL's type is; who calls rounds what comes out.

Does not know: programs, states, how a value is stored.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import sqrt
from typing import Any

import numpy as np

from penjing.export.coreml.program import Array

Given = Mapping[str, Any]
"""The values of an operation's parameters by their names: arrays, texts, and lists of arrays where it takes several."""
CHUNK = 1 << 22
"""Elements of a weight that are looked up in its palette at once."""


def blockwise(given: Given) -> Array:
    """`scale * (data - offset)`, each scale for a block of `data`."""
    data, scale, offset = given["data"], given["scale"], given.get("offset")
    blocks = [whole // parts for whole, parts in zip(data.shape, scale.shape, strict=True)]
    # [rows, inputs] becomes [row blocks, rows of one, input blocks, inputs of one], beside which a scale stands
    split = [size for pair in zip(scale.shape, blocks, strict=True) for size in pair]
    beside = [size for parts in scale.shape for size in (parts, 1)]
    values = data.astype(np.float32).reshape(split)
    if offset is not None:
        values = values - offset.astype(np.float32).reshape(beside)
    dense: Array = (values * scale.astype(np.float32).reshape(beside)).reshape(data.shape)
    return dense


def palette(given: Given) -> Array:
    """Each index replaced by its entry in the table of its block; tables `[blocks of each axis, entries, 1]`."""
    indices, tables = given["indices"], given["lut"]
    if tables.shape[-1] != 1:
        raise ValueError("palettes of vectors")
    blocks = [whole // parts for whole, parts in zip(indices.shape, tables.shape, strict=False)]
    dense = np.empty(indices.shape, np.float32)
    rows = max(1, CHUNK // max(1, indices[0].size))
    for first in range(0, len(indices), rows):
        part = indices[first : first + rows]
        places = list(np.ogrid[tuple(slice(size) for size in part.shape)])
        places[0] = places[0] + first
        which = tuple(place // block for place, block in zip(places, blocks, strict=True))
        dense[first : first + rows] = tables[(*which, part, 0)]
    return dense


def gather(given: Given) -> Array:
    """Slices of `x` along `axis`; an index outside is an error here, whatever `validate_indices` says."""
    x, indices, axis = given["x"], given["indices"], int(given.get("axis", 0))
    if int(given.get("batch_dims", 0)):
        raise ValueError("gather with batch_dims")
    if indices.size and (indices.min() < 0 or indices.max() >= x.shape[axis]):
        raise ValueError(f"an index from {indices.min()} to {indices.max()} into {x.shape[axis]}")
    return np.asarray(np.take(x, indices, axis))


def linear(given: Given) -> Array:
    """`x @ weight.T + bias`, `weight` [outputs, inputs]."""
    x, weight, bias = given["x"], given["weight"], given.get("bias")
    made = x @ weight.T
    return np.asarray(made if bias is None else made + bias)


def matmul(given: Given) -> Array:
    """`x @ y`, the last two axes of each swapped where it is said."""
    x, y = given["x"], given["y"]
    return np.asarray(
        (x.swapaxes(-1, -2) if given.get("transpose_x", False) else x)
        @ (y.swapaxes(-1, -2) if given.get("transpose_y", False) else y)
    )


def softmax(given: Given) -> Array:
    """Over `axis`."""
    x, axis = given["x"], int(given.get("axis", -1))
    powers = np.exp(x - x.max(axis=axis, keepdims=True))
    return np.asarray(powers / powers.sum(axis=axis, keepdims=True))


def gelu(given: Given) -> Array:
    """Of `mode` EXACT or TANH_APPROXIMATION."""
    x, mode = given["x"], str(given.get("mode", "EXACT"))
    if mode == "TANH_APPROXIMATION":
        inner = np.tanh(np.float32(sqrt(2 / np.pi)) * (x + np.float32(0.044715) * x**3))
    elif mode == "EXACT":
        from math import erf

        inner = np.vectorize(erf, otypes=[np.float32])(x * np.float32(sqrt(0.5)))
    else:
        raise ValueError(f"gelu of mode {mode}")
    return np.asarray(np.float32(0.5) * x * (1 + inner))


def sigmoid(x: Array) -> Array:
    """1 / (1 + exp(-x)), without overflow."""
    half: Array = np.float32(0.5) * (1 + np.tanh(np.float32(0.5) * x))
    return half


def slices(given: Given, shape: tuple[int, ...]) -> tuple[slice, ...]:
    """What `begin`, `end`, `stride` and their masks choose of `shape`. An axis to be squeezed is one long here."""
    rank = len(shape)
    masks = (given.get(name) for name in ("begin_mask", "end_mask", "squeeze_mask"))
    from_first, to_last, squeezed = ([False] * rank if mask is None else mask.tolist() for mask in masks)
    stride = given.get("stride")
    steps = [1] * rank if stride is None else stride.tolist()
    chosen = []
    for axis, (begin, end) in enumerate(zip(given["begin"].tolist(), given["end"].tolist(), strict=True)):
        if squeezed[axis]:
            at = begin % shape[axis]
            chosen.append(slice(at, at + 1))
        else:
            chosen.append(slice(None if from_first[axis] else begin, None if to_last[axis] else end, steps[axis]))
    return tuple(chosen)


def slice_by_index(given: Given) -> Array:
    """A part of `x`."""
    x, squeezed = given["x"], given.get("squeeze_mask")
    part = x[slices(given, x.shape)]
    return np.asarray(part if squeezed is None else part.squeeze(tuple(np.flatnonzero(squeezed))))


def slice_update(given: Given) -> Array:
    """`x` with a part of it replaced by `update`. Raises ValueError where that does not have the part's shape."""
    made = given["x"].copy()
    part = made[slices(given, made.shape)]
    if part.size != given["update"].size:
        raise ValueError(f"{given['update'].shape} does not fit into {part.shape}")
    part[...] = given["update"].reshape(part.shape)
    return np.asarray(made)


def reshape(given: Given) -> Array:
    """0 keeps the length of that axis."""
    x = given["x"]
    return np.asarray(x.reshape([size or x.shape[axis] for axis, size in enumerate(given["shape"].tolist())]))


def concat(given: Given) -> Array:
    """Of `values` along `axis`."""
    if given.get("interleave", False):
        raise ValueError("concat that interleaves")
    return np.concatenate([np.atleast_1d(each) for each in given["values"]], int(given["axis"]))


def select(given: Given) -> Array:
    """`a` where `cond` is true, else `b`."""
    cond: Array = given["cond"]
    a: Array = given["a"]
    b: Array = given["b"]
    return np.where(cond, a, b)


def _reduce(apply: Callable[..., Array]) -> Callable[[Given], Array]:
    def reduced(given: Given) -> Array:
        axes = given.get("axes")
        over = None if axes is None else tuple(axes.tolist())
        return apply(given["x"], axis=over, keepdims=bool(given.get("keep_dims", False)))

    return reduced


def _one(apply: Callable[[Array], Array]) -> Callable[[Given], Array]:
    return lambda given: apply(given["x"])


def _two(apply: Callable[[Array, Array], Array]) -> Callable[[Given], Array]:
    return lambda given: apply(given["x"], given["y"])


def _axes(given: Given) -> tuple[int, ...] | None:
    axes = given.get("axes")
    return None if axes is None else tuple(axes.tolist())


TABLE: dict[str, Callable[[Given], Array]] = {
    "abs": _one(np.abs),
    "add": _two(np.add),
    "cast": _one(lambda x: x),  # the type of what comes out says the rest
    "concat": concat,
    "constexpr_blockwise_shift_scale": blockwise,
    "constexpr_lut_to_dense": palette,
    "expand_dims": lambda given: np.expand_dims(given["x"], _axes(given) or ()),
    "gather": gather,
    "gelu": gelu,
    "greater_equal": _two(np.greater_equal),
    "linear": linear,
    "matmul": matmul,
    "maximum": _two(np.maximum),
    "mul": _two(np.multiply),
    "pow": _two(np.power),
    "real_div": _two(np.divide),
    "reduce_max": _reduce(np.max),
    "reduce_mean": _reduce(np.mean),
    "reshape": reshape,
    "rsqrt": lambda given: 1 / np.sqrt(given["x"] + given.get("epsilon", np.float32(1e-12))),
    "select": select,
    "shape": _one(lambda x: np.array(x.shape, np.int32)),
    "silu": _one(lambda x: x * sigmoid(x)),
    "slice_by_index": slice_by_index,
    "slice_update": slice_update,
    "softmax": softmax,
    "sub": _two(np.subtract),
    "tanh": _one(np.tanh),
    "tile": lambda given: np.tile(given["x"], given["reps"].tolist()),
    "transpose": lambda given: np.transpose(given["x"], given["perm"].tolist()),
}
"""By MIL's names."""
