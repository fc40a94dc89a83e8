"""Rounding that lets later numbers make good what earlier ones got wrong.

The error that matters is that of a row's product with the activations, e^T H e with H the sums of products of each two
columns (`importance.Columns.products`), not that of each number. Codes are first chosen one column after another, each
error carried over to the columns that follow (GPTQ, arXiv:2210.17323); then single codes, the scales of parts and those
of blocks are changed in turn as long as e^T H e falls (coordinate descent, as QuantEase, arXiv:2309.01885, extended to
the scales of ggml's blocks).

Does not know: files, which type a tensor should have.
"""

from __future__ import annotations

import functools

import numpy as np

from penjing.probe.ggml import NUMBERS, TYPES
from penjing.shrink.ggml import encode
from penjing.shrink.quantize.fields import FORMS, Bytes, Floats, Form
from penjing.shrink.quantize.importance import BLOCK, Columns
from penjing.shrink.quantize.scales import rescale
from penjing.shrink.quantize.state import Hessian, State

DAMP = 0.01
"""Share of H's mean diagonal that is added to it: calibration saw a sample only."""
STEP = 32
"""Columns that are settled before the others hear of it (one product of matrices instead of many)."""
ROUNDS = 3
"""Sweeps over codes and scales."""


@functools.lru_cache(maxsize=256)  # 128 MB
def hessian(columns: Columns, matrix: int, block: int) -> Hessian:
    """H of a block of a matrix, for one row of activations."""
    assert columns.products is not None
    side = min(BLOCK, columns.sums.shape[1] - block * BLOCK)
    product = columns.products[matrix, block, :side, :side] / max(float(columns.counts[matrix]), 1.0)
    mean = float(np.trace(product)) / side
    product = (product + np.eye(side, dtype=np.float32) * (DAMP * mean or 1.0)).astype(np.float32)
    order = np.argsort(-np.diag(product), kind="stable")
    inverse = np.linalg.inv(product[np.ix_(order, order)].astype(np.float64))
    return Hessian(product, order, np.linalg.cholesky((inverse + inverse.T) / 2).T.astype(np.float32))


def compensated(rows: Floats, kind: str, columns: Columns, matrix: int = 0, rounds: int = ROUNDS) -> Bytes:
    """`rows` [n, width] of a matrix in ggml type `kind`, as bytes [n, row_bytes]. A type that is not in FORMS is coded
    as `encode` does it. `rounds` sweeps follow the first pass: each takes as long and brings less."""
    coded = encode(rows, kind, columns.means[matrix])
    form = FORMS.get(kind)
    if form is None:
        return coded
    blocks = coded.reshape(len(rows), -1, TYPES[NUMBERS[kind]][2])
    per = BLOCK // form.block  # blocks of the type that H's block holds
    for index in range(-(-rows.shape[1] // BLOCK)):
        mine = slice(index * per, (index + 1) * per)
        part = rows[:, index * BLOCK : (index + 1) * BLOCK]
        known = np.ascontiguousarray(blocks[:, mine])
        blocks[:, mine] = _settle(part, form, known, hessian(columns, matrix, index), rounds)
    return blocks.reshape(len(rows), -1)


def _settle(rows: Floats, form: Form, blocks: Bytes, hessian: Hessian, rounds: int) -> Bytes:
    state = State(rows, form, blocks, hessian)
    before = state.losses()
    carry(state)
    for _ in range(rounds):
        sweep(state, rescale(state))
    better = state.losses() < before
    return np.where(better[:, None, None], state.packed(), blocks)


def carry(state: State) -> None:
    """GPTQ: the codes one column after another, most important first, errors carried over to those that follow."""
    order, upper = state.hessian.order, state.hessian.upper
    target, lower = state.wanted[order], np.ascontiguousarray(upper.T)
    for begin in range(0, len(order), STEP):
        end = min(begin + STEP, len(order))
        errors = np.empty((end - begin, target.shape[1]), np.float32)
        for place in range(begin, end):
            column, wanted, own = order[place], target[place], errors[place - begin]
            if place > begin:
                wanted -= lower[place, begin:place] @ errors[: place - begin]
            state.settle(column, wanted)
            np.subtract(wanted, state.now[column], out=own)
            own /= upper[place, place]
        target[end:] -= lower[end:, begin:end] @ errors


def sweep(state: State, gradient: Floats) -> None:
    """Each code once: the best one while all others stay. `gradient` is H e, and is used up."""
    product = state.product
    for begin in range(0, len(product), STEP):
        end = min(begin + STEP, len(product))
        changes = np.empty((end - begin, gradient.shape[1]), np.float32)
        for column in range(begin, end):
            slope, own, now = gradient[column], changes[column - begin], state.now[column]
            if column > begin:
                slope += product[column, begin:column] @ changes[: column - begin]
            own[:] = now
            slope /= -product[column, column]
            slope += now
            state.settle(column, slope)
            np.subtract(now, own, out=own)
        gradient[end:] += product[end:, begin:end] @ changes
