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
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from penjing.probe.ggml import NUMBERS, TYPES
from penjing.shrink.ggml import encode
from penjing.shrink.quantize.fields import FORMS, Bytes, Floats, Form
from penjing.shrink.quantize.importance import BLOCK, Columns

DAMP = 0.01
"""Share of H's mean diagonal that is added to it: calibration saw a sample only."""
STEP = 32
"""Columns that are settled before the others hear of it (one product of matrices instead of many)."""
ROUNDS = 3
"""Sweeps over codes and scales."""
TINY = 1e-12


@dataclass(frozen=True)
class Hessian:
    """H of a block of columns, made so that it can be inverted; `order` of its columns, those that matter most first;
    `upper` with upper^T upper = inverse of H in that order."""

    product: Floats
    order: NDArray[np.intp]
    upper: Floats


@functools.lru_cache(maxsize=96)
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


class State:
    """Rows on their way to codes, columns first: everything f32 [columns, n] but H [columns, columns]."""

    def __init__(self, wanted: Floats, form: Form, blocks: Bytes, hessian: Hessian) -> None:
        """`wanted` [n, columns], `blocks` u8 [n, blocks, size]."""
        self.form, self.hessian, self.product = form, hessian, hessian.product
        self.shape = blocks.shape
        self.fields = form.unpack(blocks.reshape(-1, blocks.shape[2]))
        self.wanted = np.ascontiguousarray(wanted.T)
        self.middles = (form.levels[1:] + form.levels[:-1]) / 2
        self.even = bool(np.all(np.diff(form.levels) == 1))
        self.spread()

    def spread(self) -> None:
        """Scale and offset of each number, and what it stands for now, from the fields."""
        fields, width = self.fields, self.form.width
        rows = self.shape[0]
        scale = np.repeat(fields.d[:, None] * fields.scales, width, axis=1).reshape(rows, -1)
        offset = np.repeat(fields.dmin[:, None] * fields.minima, width, axis=1).reshape(rows, -1)
        self.scale, self.offset = np.ascontiguousarray(scale.T), np.ascontiguousarray(offset.T)
        with np.errstate(divide="ignore"):
            self.inverse = np.where(self.scale == 0, 0, 1 / self.scale).astype(np.float32)
        self.codes = np.ascontiguousarray(fields.codes.reshape(rows, -1).T)
        self.now = self.scale * self.form.levels[self.codes] - self.offset

    def gather(self) -> None:
        """The codes back into the fields."""
        self.fields.codes = np.ascontiguousarray(self.codes.T).reshape(-1, self.form.block)

    def nearest(self, column: int, target: Floats) -> tuple[Bytes, Floats]:
        """Codes of the levels nearest to `target` [n] in `column`, and what they stand for."""
        levels = self.form.levels
        raw = (target + self.offset[column]) * self.inverse[column]
        if self.even:
            np.rint(raw - levels[0], out=raw)
            np.maximum(raw, 0, out=raw)
            codes = np.minimum(raw, len(levels) - 1, out=raw).astype(np.uint8)
        else:
            codes = np.searchsorted(self.middles, raw).astype(np.uint8)
        return codes, self.scale[column] * levels[codes] - self.offset[column]

    def gradient(self) -> Floats:
        """H e, [columns, n]."""
        return np.asarray(self.product @ (self.now - self.wanted))

    def losses(self) -> Floats:
        """e^T H e of each row, [n]."""
        error = self.now - self.wanted
        return np.asarray(np.einsum("cn,cn->n", error, self.product @ error))


def _settle(rows: Floats, form: Form, blocks: Bytes, hessian: Hessian, rounds: int) -> Bytes:
    state = State(rows, form, blocks, hessian)
    before, kept = state.losses(), blocks
    carry(state)
    for _ in range(rounds):
        state.gather()
        rescale(state)
        sweep(state)
    state.gather()
    better = state.losses() < before
    made = form.pack(state.fields).reshape(blocks.shape)
    return np.where(better[:, None, None], made, kept)


def carry(state: State) -> None:
    """GPTQ: the codes one column after another, most important first, errors carried over to those that follow."""
    order, upper = state.hessian.order, state.hessian.upper
    target = state.wanted[order]
    for begin in range(0, len(order), STEP):
        end = min(begin + STEP, len(order))
        errors = np.empty((end - begin, target.shape[1]), np.float32)
        for place in range(begin, end):
            column = order[place]
            state.codes[column], state.now[column] = state.nearest(column, target[place])
            error = (target[place] - state.now[column]) / upper[place, place]
            target[place + 1 : end] -= upper[place, place + 1 : end, None] * error
            errors[place - begin] = error
        target[end:] -= upper[begin:end, end:].T @ errors


def sweep(state: State) -> None:
    """Each code once: the best one while all others stay."""
    gradient, product = state.gradient(), state.product
    for begin in range(0, len(product), STEP):
        end = min(begin + STEP, len(product))
        change = np.empty((end - begin, gradient.shape[1]), np.float32)
        for column in range(begin, end):
            target = state.now[column] - gradient[column] / product[column, column]
            state.codes[column], fresh = state.nearest(column, target)
            change[column - begin] = delta = fresh - state.now[column]
            state.now[column] = fresh
            gradient[column + 1 : end] += product[column, column + 1 : end, None] * delta
        gradient[end:] += product[end:, begin:end] @ change


def rescale(state: State) -> None:
    """The scales and minima of parts, then those of blocks, with the codes as they are."""
    if state.form.scales[0] < state.form.scales[1]:
        _parts(state)
    _blocks(state)


def _parts(state: State) -> None:
    """Whole-number scales and minima moved to where e^T H e is least, part by part."""
    form, fields, rows = state.form, state.fields, state.shape[0]
    gradient, product = state.gradient(), state.product
    per = form.block // form.width
    d, dmin = fields.d.reshape(rows, -1), fields.dmin.reshape(rows, -1)
    scales = fields.scales.reshape(rows, -1, per)
    minima = fields.minima.reshape(rows, -1, per)
    for part in range(state.wanted.shape[0] // form.width):
        block, inner = divmod(part, per)
        mine = slice(part * form.width, (part + 1) * form.width)
        own = product[mine, mine]
        moves = [(scales, d[:, block] * form.levels[state.codes[mine]], form.scales)]
        if form.minima[0] < form.minima[1]:
            moves.append((minima, -np.broadcast_to(dmin[:, block], (form.width, rows)), form.minima))
        for whole, direction, (low, high) in moves:
            steep = np.einsum("cn,cn->n", direction, gradient[mine])
            bend = np.einsum("cn,cn->n", direction, own @ direction)
            step = np.where(bend > TINY, -steep / np.maximum(bend, TINY), 0)
            old = whole[:, block, inner]
            new = np.clip(np.rint(old + step), low, high).astype(np.int16)
            moved = direction * (new - old)
            whole[:, block, inner] = new
            state.now[mine] += moved
            gradient += product[:, mine] @ moved
    fields.scales, fields.minima = scales.reshape(-1, per), minima.reshape(-1, per)
    state.spread()


def _blocks(state: State) -> None:
    """`d` and `dmin` of each block by least squares, rounded to f16, kept where e^T H e falls."""
    form, fields = state.form, state.fields
    per = state.wanted.shape[0] // form.block
    for block in range(per):
        mine = slice(block * form.block, (block + 1) * form.block)
        own = state.product[mine, mine]
        at = slice(block, None, per)
        lift = (np.repeat(fields.scales[at], form.width, axis=1) * form.levels[fields.codes[at]]).T
        drop = -np.repeat(fields.minima[at], form.width, axis=1).T.astype(np.float32)
        fits = form.minima[0] < form.minima[1]
        pull = (state.gradient()[mine] - own @ state.now[mine]) * -1  # what the block should stand for, times H
        d, dmin = _least(lift.astype(np.float32), drop, own, pull, fits)
        before = state.losses()
        old = fields.d[at].copy(), fields.dmin[at].copy(), state.now[mine].copy()
        fields.d[at], fields.dmin[at] = _half(d), _half(dmin)
        state.now[mine] = fields.d[at] * lift + fields.dmin[at] * drop
        worse = ~(state.losses() < before)
        fields.d[at], fields.dmin[at] = np.where(worse, old[0], fields.d[at]), np.where(worse, old[1], fields.dmin[at])
    state.spread()


def _half(numbers: NDArray[np.generic]) -> Floats:
    with np.errstate(over="ignore"):
        return numbers.astype(np.float16).astype(np.float32)


def _least(lift: Floats, drop: Floats, own: Floats, pull: Floats, fits: bool) -> tuple[Floats, Floats]:
    """d and dmin [n] that minimise the error of d * lift + dmin * drop ([block, n])."""
    high = own @ lift
    aa, ap = np.einsum("cn,cn->n", lift, high), np.einsum("cn,cn->n", lift, pull)
    if not fits:
        return np.where(aa > TINY, ap / np.maximum(aa, TINY), 0), np.zeros_like(ap)
    low = own @ drop
    bb, bp = np.einsum("cn,cn->n", drop, low), np.einsum("cn,cn->n", drop, pull)
    ab = np.einsum("cn,cn->n", lift, low)
    determinant = aa * bb - ab * ab
    sound = determinant > 1e-6 * np.maximum(aa * bb, TINY)
    safe = np.where(sound, determinant, 1)
    d = np.where(sound, (ap * bb - bp * ab) / safe, np.where(aa > TINY, ap / np.maximum(aa, TINY), 0))
    dmin = np.where(sound, (bp * aa - ap * ab) / safe, 0)
    return d.astype(np.float32), dmin.astype(np.float32)
