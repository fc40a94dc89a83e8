"""Numbers out of logits, and how sure one can be of them.

Does not know: models, texts, questions.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from penjing.shrink.evaluate.quality import Estimate

Floats = NDArray[np.float64]
Logits = NDArray[np.float32]
RESAMPLES = 1000
TAIL = 2.5
"""Percent of the resamples outside each end of an interval."""
PORTION = 1 << 22
"""Numbers of the table of resamples that are made at once."""


@dataclass(frozen=True)
class Compared:
    """Per row of logits: `nll` is -ln p(target) under the model, `parent` under its parent, `kl` is
    KL(parent || model) in nats, `same` whether the likeliest token is the same."""

    nll: Floats
    parent: Floats
    kl: Floats
    same: NDArray[np.bool_]


def surprise(logits: Logits, targets: NDArray[np.int32]) -> Floats:
    """-ln softmax(logits)[target] of each row, nats. `logits` f32 [n, vocabulary], `targets` [n]."""
    shifted, mass = _exponentials(logits)
    del shifted
    return mass - _at(logits, targets)


def compare(logits: Logits, parent: Logits, targets: NDArray[np.int32]) -> Compared:
    """The model's rows beside the parent's, both f32 [n, vocabulary].

    KL = sum(p (a - b)) - (ln Za - ln Zb) for logits a of the parent and b of the model: the difference of two numbers
    that are close is exact in f32, and sums are kept in f64, so that equal rows give exactly 0.
    """
    weights, parent_mass = _exponentials(parent)
    _, mass = _exponentials(logits)
    apart = (parent - logits).astype(np.float64)
    total = weights.sum(axis=1, dtype=np.float64)
    kl = np.einsum("nv,nv->n", weights, apart) / total - (parent_mass - mass)
    return Compared(
        nll=mass - _at(logits, targets),
        parent=parent_mass - _at(parent, targets),
        kl=np.maximum(kl, 0.0),
        same=logits.argmax(axis=1) == parent.argmax(axis=1),
    )


def _exponentials(logits: Logits) -> tuple[Logits, Floats]:
    """exp(logits - their row's largest), f32 [n, vocabulary], and ln of each row's sum of exp(logits), f64 [n]."""
    top = logits.max(axis=1, keepdims=True)
    powers = np.exp(logits - top)
    return powers, np.log(powers.sum(axis=1, dtype=np.float64)) + top[:, 0]


def _at(logits: Logits, targets: NDArray[np.int32]) -> Floats:
    return logits[np.arange(len(targets)), targets].astype(np.float64)


def estimate(values: NDArray[np.generic], groups: NDArray[np.intp] | None = None, seed: int = 0) -> Estimate:
    """The mean of `values` [n] and its 95 % interval.

    Groups of values (`groups` [n]: which one each belongs to; every value its own where None) are drawn again with
    replacement, `RESAMPLES` times (Efron's percentile bootstrap): values that hang together, as the tokens of a passage
    do, belong into one group. Of the differences of two models on the same groups this is the paired bootstrap.
    """
    sums, counts = _grouped(values.astype(np.float64), groups)
    many = len(sums)
    value = float(sums.sum() / counts.sum())
    rng = np.random.default_rng(seed)
    found = []
    left = RESAMPLES
    while left:
        some = min(left, max(1, PORTION // many))
        drawn = rng.multinomial(many, np.full(many, 1 / many), size=some).astype(np.float64)
        found.append((drawn @ sums) / (drawn @ counts))
        left -= some
    low, high = np.percentile(np.concatenate(found), [TAIL, 100 - TAIL])
    return Estimate(value, min(float(low), value), max(float(high), value))


def _grouped(values: Floats, groups: NDArray[np.intp] | None) -> tuple[Floats, Floats]:
    """The sums and counts of the groups that have any."""
    if groups is None:
        return values, np.ones(len(values))
    _, place = np.unique(groups, return_inverse=True)
    sums: Floats = np.bincount(place, weights=values).astype(np.float64)
    return sums, np.bincount(place).astype(np.float64)
