"""Tokens of several sequences that are computed together.

Does not know: the context that computes them.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from penjing.native.faults import WrongUse
from penjing.native.layout import Batch as Structure


class Batch:
    """Room for `capacity` tokens, each in up to `shared` sequences. Filled with `add` and `extend`, emptied with
    `clear`; one batch is used again and again."""

    def __init__(self, capacity: int, shared: int = 1) -> None:
        if capacity < 1 or shared < 1:
            raise WrongUse(detail=f"a batch of {capacity} tokens in {shared} sequences")
        self.capacity, self.shared = capacity, shared
        self.tokens = np.zeros(capacity, np.int32)
        self.positions = np.zeros(capacity, np.int32)
        self.counts = np.ones(capacity, np.int32)
        self.sequences = np.zeros((capacity, shared), np.int32)
        self.wanted = np.zeros(capacity, np.int8)
        rows = self.sequences.ctypes.data + np.arange(capacity, dtype=np.uint64) * self.sequences.strides[0]
        self._rows: NDArray[np.uint64] = rows.astype(np.uint64)
        self._used = 0

    def __len__(self) -> int:
        return self._used

    @property
    def room(self) -> int:
        """How many more tokens it takes."""
        return self.capacity - self._used

    @property
    def outputs(self) -> int:
        """Of how many tokens the result is wanted."""
        return int(np.count_nonzero(self.wanted[: self._used]))

    def clear(self) -> None:
        """No tokens."""
        self._used = 0

    def add(self, token: int, position: int, sequences: Sequence[int] = (0,), *, wanted: bool = False) -> int:
        """One more token at `position` of each of `sequences`; `wanted`: its logits are. Returns its place in the
        batch. Raises WrongUse where it is full."""
        at, count = self._used, len(sequences)
        if at >= self.capacity or not 0 < count <= self.shared:
            raise WrongUse(detail=f"token {at + 1} in {count} sequences, of {self.capacity} in {self.shared}")
        self.tokens[at], self.positions[at], self.wanted[at] = token, position, wanted
        self.counts[at] = count
        self.sequences[at, :count] = sequences
        self._used = at + 1
        return at

    def extend(
        self,
        tokens: Sequence[int] | NDArray[np.int32],
        position: int,
        sequence: int = 0,
        *,
        wanted: bool | Sequence[bool] | NDArray[np.bool_] = False,
    ) -> int:
        """`tokens` from `position` of `sequence` on; `wanted`: the logits of all, of none, or of each that is True.
        Returns the place of the first in the batch. Raises WrongUse where they do not fit."""
        at, end = self._used, self._used + len(tokens)
        if end > self.capacity:
            raise WrongUse(detail=f"{end} tokens in a batch of {self.capacity}")
        self.tokens[at:end] = tokens
        self.positions[at:end] = np.arange(position, position + len(tokens), dtype=np.int32)
        self.counts[at:end] = 1
        self.sequences[at:end, 0] = sequence
        self.wanted[at:end] = wanted
        self._used = end
        return at

    def check(self, vocabulary: int, sequences: int, most: int) -> None:
        """Raises WrongUse for what would end the process: tokens, sequences or positions that there are not."""
        used = self._used
        if not 0 < used <= most:
            raise WrongUse(detail=f"a batch of {used} tokens; the context takes 1 to {most}")
        tokens, positions = self.tokens[:used], self.positions[:used]
        if tokens.min() < 0 or tokens.max() >= vocabulary:
            raise WrongUse(detail=f"token {int(tokens.max())} or {int(tokens.min())} among {vocabulary}")
        if positions.min() < 0:
            raise WrongUse(detail=f"position {int(positions.min())}")
        shown = np.arange(self.shared) < self.counts[:used, None]
        held = self.sequences[:used][shown]
        if held.min() < 0 or held.max() >= sequences:
            raise WrongUse(detail=f"sequence {int(held.max())} or {int(held.min())} among {sequences}")

    def structure(self) -> Structure:
        """`llama_batch`, which shares this batch's memory."""
        return Structure(
            self._used,
            self.tokens.ctypes.data,
            None,
            self.positions.ctypes.data,
            self.counts.ctypes.data,
            self._rows.ctypes.data,
            self.wanted.ctypes.data,
        )
