"""A slow, exact model of a context: cells are objects, and a token follows from all tokens before it.

It refuses whatever the real library would get wrong: positions with a gap, tokens of a sequence that is not what its
owner believes, tokens read with one voice after those of another, more cells than there are.
"""

from __future__ import annotations

import zlib
from types import SimpleNamespace
from typing import Any

import numpy as np

from penjing.engines.llamacpp.scheduler.asked import Voice
from penjing.native.batch import Batch
from penjing.native.faults import Aborted, CacheFull

VOCABULARY = 24


class Cell:
    def __init__(self, token: int, voice: Voice) -> None:
        self.token, self.voice = token, voice


def following(tokens: list[int], voice: Voice = ()) -> int:
    """The token that comes after `tokens`; small texts repeat themselves, so that guesses are right at times."""
    if len(tokens) > 8 and zlib.crc32(bytes(tokens[-8:])) % 3:
        return tokens[-4]
    return zlib.crc32(bytes(tokens) + (b"" if sum(voice) in (0, 1) else repr(voice).encode())) % VOCABULARY


class Slow:
    """A context of `tokens` cells for `sequences`."""

    def __init__(self, tokens: int, sequences: int, *, batch: int = 64, ubatch: int = 16, state: bool = False) -> None:
        self.tokens, self.sequences, self.batch_size, self.ubatch_size = tokens, sequences, batch, ubatch
        self.model: Any = SimpleNamespace(
            recurrent=state,
            window=0,
            trained_context=tokens,
            vocabulary_size=VOCABULARY,
            check=lambda token: None,
            vocabulary=0,
        )
        self.memory, self.state = self, state
        self.held: dict[int, list[Cell]] = {sequence: [] for sequence in range(sequences)}
        self.computed = 0
        self.largest = 0
        self.threads = 0
        self.voice: Voice = ()
        self.stopping = False
        self.shiftable = not state
        self._rows: list[int] = []

    @property
    def cells(self) -> int:
        return len({id(cell) for cells in self.held.values() for cell in cells})

    def set_threads(self, count: int) -> None:
        self.threads = count

    def adapt(self, adapters: list[tuple[int, float]]) -> None:
        self.voice = tuple(weight for _, weight in adapters)

    def stop(self) -> None:
        self.stopping = True

    def decode(self, batch: Batch) -> None:
        used = len(batch)
        assert 0 < used <= self.batch_size
        self.largest = max(self.largest, used)
        if self.cells + used > self.tokens:
            raise CacheFull(tokens=used, room=self.tokens)
        self._rows = []
        stopping, self.stopping = self.stopping, False
        for at in range(used // 2 if stopping else used):
            cells = self.held[int(batch.sequences[at, 0])]
            assert batch.positions[at] == len(cells), "a gap"
            assert all(cell.voice == self.voice for cell in cells), "another voice"
            cells.append(Cell(int(batch.tokens[at]), self.voice))
            if batch.wanted[at]:
                self._rows.append(following([cell.token for cell in cells], self.voice))
        if stopping:
            raise Aborted
        self.computed += used

    def logits(self) -> np.ndarray[Any, Any]:
        found = np.zeros((len(self._rows), VOCABULARY), np.float32)
        found[np.arange(len(self._rows)), self._rows] = 1
        return found

    def copy(self, source: int, target: int, start: int = 0, end: int = -1) -> None:
        assert not self.held[target]
        assert end == -1 or not self.state
        self.held[target] = self.held[source][start : None if end == -1 else end]

    def remove(self, sequence: int, start: int = 0, end: int = -1) -> bool:
        if start and self.state:
            return False
        del self.held[sequence][start : None if end == -1 else end]
        return True

    def shift(self, sequence: int, start: int, end: int, by: int) -> None:
        assert start + by + len(self.held[sequence][start + by :]) == len(self.held[sequence])


def answer(prompt: list[int], limit: int, ends: frozenset[int], voice: Voice = ()) -> list[int]:
    """What the model says to `prompt`, computed alone."""
    tokens = list(prompt)
    while len(tokens) - len(prompt) < limit:
        tokens.append(following(tokens, voice))
        if tokens[-1] in ends:
            break
    return tokens[len(prompt) :]
