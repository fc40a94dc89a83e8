"""Rows in the middle of being rounded, for tests."""

from __future__ import annotations

import numpy as np

from penjing.shrink.ggml import encode
from penjing.shrink.quantize.compensate import hessian
from penjing.shrink.quantize.fields import FORMS, Floats
from penjing.shrink.quantize.importance import BLOCK, Columns
from penjing.shrink.quantize.state import State


def columns_of(width: int, *, alike: float, seed: int = 0) -> Columns:
    """As after 1024 rows of activations whose columns have a share `alike` in common."""
    draw = np.random.default_rng(seed)
    common = draw.normal(size=(1024, 8)) @ draw.normal(size=(8, width))
    seen = (alike * common / np.sqrt(8) + (1 - alike) * draw.normal(size=(1024, width))).astype(np.float32)
    blocks = -(-width // BLOCK)
    products = np.zeros((1, blocks, BLOCK, BLOCK), np.float32)
    for block in range(blocks):
        part = seen[:, block * BLOCK : (block + 1) * BLOCK]
        products[0, block, : part.shape[1], : part.shape[1]] = part.T @ part
    return Columns((seen**2).sum(axis=0)[None], np.array([1024.0], np.float32), products)


def state_of(kind: str, rows: Floats) -> State:
    """`rows` [n, 256] as ggml codes them."""
    form = FORMS[kind]
    blocks = encode(rows, kind).reshape(len(rows), BLOCK // form.block, -1)
    return State(rows, form, blocks, hessian(columns_of(BLOCK, alike=0.7), 0, 0))
