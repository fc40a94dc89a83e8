"""Examples side by side in rows, so that little of a batch is padding and none sees its neighbour.

    [ a a a a a a | b b | - ]     positions 0 1 2 3 4 5 0 1 0, labels only within an example

transformers makes the block-diagonal mask itself where no attention mask is given and positions begin again
(`masking_utils.find_packed_sequence_indices`); padding is an example of its own that nothing is learned from.

Does not know: where examples come from, models.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from torch import Tensor

IGNORED = -100
"""The label of a position that nothing is learned from (PyTorch's `ignore_index`)."""


@dataclass(frozen=True)
class Example:
    """One text: `tokens` [n] int64 ids, `learned` [n] bool: which of them the model learns to write. The first token
    has nothing before it and is never learned."""

    tokens: NDArray[np.int64]
    learned: NDArray[np.bool_]

    @classmethod
    def of(cls, tokens: Sequence[int]) -> Example:
        """A text that is learned whole."""
        return cls(np.asarray(tokens, np.int64), np.ones(len(tokens), np.bool_))

    @property
    def labels(self) -> NDArray[np.int64]:
        """[n] int64: at each position the token that follows it where that is learned, else IGNORED."""
        following = np.full(len(self.tokens), IGNORED, np.int64)
        following[:-1] = np.where(self.learned[1:], self.tokens[1:], IGNORED)
        return following


@dataclass(frozen=True)
class Batch:
    """Rows of one width, each a torch tensor [rows, width] int64: `tokens`, `positions` within their example, and
    `labels`, the token that follows where it is learned, else IGNORED. `learned` counts the labels that are not."""

    tokens: Tensor
    positions: Tensor
    labels: Tensor
    learned: int

    def to(self, device: Any) -> Batch:
        """The same on another device."""
        return Batch(self.tokens.to(device), self.positions.to(device), self.labels.to(device), self.learned)


def rows(examples: Sequence[Example], pack: bool = True) -> list[list[Example]]:
    """`examples` in rows no longer than the longest of them: the longest first, each into the first row where it
    fits. Without `pack` each is a row of its own."""
    ordered = sorted(examples, key=lambda example: -len(example.tokens))
    if not pack or not ordered:
        return [[example] for example in ordered]
    width = len(ordered[0].tokens)
    found: list[list[Example]] = []
    free: list[int] = []
    for example in ordered:
        size = len(example.tokens)
        at = next((row for row, left in enumerate(free) if left >= size), len(free))
        if at == len(free):
            found.append([])
            free.append(width)
        found[at].append(example)
        free[at] -= size
    return found


def batch(side_by_side: Sequence[Sequence[Example]]) -> Batch:
    """Rows of examples as tensors; the short ones are padded with token 0, of which nothing is learned."""
    import torch

    width = max(sum(len(example.tokens) for example in row) for row in side_by_side)
    shape = (len(side_by_side), width)
    tokens, positions = np.zeros(shape, np.int64), np.zeros(shape, np.int64)
    labels = np.full(shape, IGNORED, np.int64)
    for index, row in enumerate(side_by_side):
        at = 0
        for example in row:
            end = at + len(example.tokens)
            tokens[index, at:end], labels[index, at:end] = example.tokens, example.labels
            positions[index, at:end] = np.arange(end - at)
            at = end
    learned = int((labels != IGNORED).sum())
    return Batch(torch.from_numpy(tokens), torch.from_numpy(positions), torch.from_numpy(labels), learned)


def passes(examples: Sequence[Example], count: int = 1, pack: bool = True) -> list[Batch]:
    """`examples` as at most `count` batches that are computed one after the other, which bounds memory."""
    packed = rows(examples, pack)
    size = -(-len(packed) // count)
    return [batch(packed[at : at + size]) for at in range(0, len(packed), size)]


def drawn(examples: Sequence[Example], step: int, size: int, seed: int) -> list[Example]:
    """The `size` examples of a step: all of them in a new order every epoch, which only `seed` and the epoch decide, so
    that a run that goes on draws what it would have drawn."""
    chosen = []
    for index in range(step * size, (step + 1) * size):
        epoch, at = divmod(index, len(examples))
        chosen.append(examples[_order(len(examples), seed, epoch)[at]])
    return chosen


@functools.lru_cache(maxsize=2)  # a step may begin in one epoch and end in the next
def _order(count: int, seed: int, epoch: int) -> NDArray[np.intp]:
    return np.random.default_rng([seed, epoch]).permutation(count)


def looked(examples: Sequence[Example], size: int, pack: bool = True) -> Iterator[Batch]:
    """All examples once, in their order, `size` at a time."""
    for at in range(0, len(examples), size):
        yield from passes(examples[at : at + size], pack=pack)
