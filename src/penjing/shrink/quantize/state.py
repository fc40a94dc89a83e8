"""Rows on their way to codes: what 256 columns of them stand for, and what is wrong with that, columns first.

Does not know: which codes and scales are good ones.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from penjing.shrink.quantize.fields import Bytes, Fields, Floats, Form


@dataclass(frozen=True)
class Hessian:
    """H of a block of columns, made so that it can be inverted; `order` of its columns, those that matter most first;
    `upper` with upper^T upper = inverse of H in that order."""

    product: Floats
    order: NDArray[np.intp]
    upper: Floats


class State:
    """Everything is f32 [columns, n] but H [columns, columns], `d` and `dmin` [blocks, n], `scales` and `minima` (whole
    numbers) [parts, n], `codes` u8 [columns, n]."""

    def __init__(self, wanted: Floats, form: Form, blocks: Bytes, hessian: Hessian) -> None:
        """`wanted` [n, columns], `blocks` u8 [n, blocks, size]."""
        self.form, self.hessian, self.product = form, hessian, hessian.product
        self.shape = blocks.shape
        rows = len(blocks)
        fields = form.unpack(blocks.reshape(-1, blocks.shape[2]))
        self.d, self.dmin = _columns(fields.d, rows), _columns(fields.dmin, rows)
        self.scales, self.minima = _columns(fields.scales, rows), _columns(fields.minima, rows)
        self.codes = np.ascontiguousarray(fields.codes.reshape(rows, -1).T)
        self.wanted = np.ascontiguousarray(wanted.T, np.float32)
        self.parts = form.block // form.width
        self.middles = (form.levels[1:] + form.levels[:-1]) / 2
        self.even = bool(np.all(np.diff(form.levels) == 1))
        self.top = np.float32(len(form.levels) - 1)
        self.spread()

    def spread(self) -> None:
        """From d, dmin, scales, minima and codes: what each part's numbers are multiplied with (`step`), what its
        lowest or, where levels are uneven, its level of nothing stands for (`base`), and what all numbers stand for."""
        self.step = np.repeat(self.d, self.parts, axis=0) * self.scales
        self.base = -(np.repeat(self.dmin, self.parts, axis=0) * self.minima)
        if self.even:
            self.base += self.step * self.form.levels[0]
        self.inverse = np.divide(1, self.step, out=np.zeros_like(self.step), where=self.step != 0)
        steps = self.codes.astype(np.float32) if self.even else self.form.levels.take(self.codes)
        numbers = self.by_part(steps)
        numbers *= self.step[:, None]
        numbers += self.base[:, None]
        self.now = steps

    def by_part(self, numbers: Floats) -> Floats:
        """A view of [columns, n] as [parts, width, n]."""
        return numbers.reshape(-1, self.form.width, numbers.shape[-1])

    def levels(self, mine: slice) -> Floats:
        """Of the codes of some columns."""
        return self.form.levels.take(self.codes[mine])

    def settle(self, column: int, target: Floats) -> None:
        """`column` gets the codes whose numbers are nearest to `target` [n]."""
        part, now = column // self.form.width, self.now[column]
        step, base = self.step[part], self.base[part]
        np.subtract(target, base, out=now)
        now *= self.inverse[part]
        if self.even:
            np.rint(now, out=now)
            np.maximum(now, 0, out=now)
            np.minimum(now, self.top, out=now)
            self.codes[column] = now
        else:
            self.codes[column] = self.middles.searchsorted(now)
            self.form.levels.take(self.codes[column], out=now)
        now *= step
        now += base

    def gradient(self) -> Floats:
        """H e, [columns, n]."""
        return np.asarray(self.product @ (self.now - self.wanted))

    def losses(self) -> Floats:
        """e^T H e of each row, [n]."""
        error = self.now - self.wanted
        return dots(error, self.product @ error)

    def packed(self) -> Bytes:
        """As `blocks` were."""
        per = self.form.block
        codes = np.ascontiguousarray(self.codes.T).reshape(-1, per)
        scales, minima = (each.T.reshape(len(codes), -1).astype(np.int16) for each in (self.scales, self.minima))
        fields = Fields(self.d.T.reshape(-1), self.dmin.T.reshape(-1), scales, minima, codes)
        return self.form.pack(fields).reshape(self.shape)


def dots(one: Floats, other: Floats) -> Floats:
    """Products of columns with columns, [n]."""
    return np.asarray(np.einsum("cn,cn->n", one, other))


def _columns(field: NDArray[np.generic], rows: int) -> Floats:
    return np.ascontiguousarray(field.reshape(rows, -1).T, np.float32)
