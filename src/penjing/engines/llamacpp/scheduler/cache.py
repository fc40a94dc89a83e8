"""What the KV cache holds: sequences that run, that rest until their room is needed, and what the shelf has of others.

Cells are counted exactly, so that memory is refused before it runs out. What rests leaves in the order of its last use.

Does not know: who asked, what is computed next.
"""

from __future__ import annotations

from collections.abc import Hashable

from penjing.engines.llamacpp.scheduler.shelf import Shelf
from penjing.engines.llamacpp.scheduler.tree import Tree
from penjing.native.context import Context
from penjing.native.faults import DecodeFailed
from penjing.native.memory import END

KEPT = 64
"""Tokens that are worth a file."""
AWAITED, PATIENCE = 512, 2.0
"""Tokens of a prompt that are worth waiting for what the shelf has, and for how many seconds once after a start: who
comes back to a long conversation may be faster than the model's digest."""


class Cache:
    """The cache of `context`; what leaves it goes to the `shelf`, and comes back from there. At most `rest` cells (all
    where nothing is said) are held by conversations that are over: each step looks at every cell, so that many of them
    make all others slow. `partial`: a part of a sequence may be shared and cut; where not, it is a state that is taken
    as a whole or not at all."""

    def __init__(self, context: Context, shelf: Shelf | None, rest: int | None = None) -> None:
        self.context, self._rest = context, context.tokens if rest is None else rest
        self.partial = not context.model.recurrent and not context.model.window
        self.tree = Tree()
        self.resting: dict[int, None] = {}  # the one used last is last
        self.shelf, self._patience = shelf, PATIENCE
        self._free = list(range(context.sequences))[::-1]

    @property
    def free(self) -> int:
        """Sequences that nobody has: all that neither run nor rest."""
        return len(self._free)

    def fits(self, cells: int) -> bool:
        """Whether so many more are free."""
        return self.tree.cells + cells <= self.context.tokens

    def beginning(self, tokens: list[int], voice: Hashable) -> tuple[int, int]:
        """Which sequence has most of the beginning of `tokens`, and how much; the last is always computed."""
        source, length = self.tree.find(tokens[:-1], voice)
        if source >= 0 and not self.partial and length < self.tree.length(source):
            return -1, 0
        return source, length

    def room(self, cells: int, source: int = -1, *, sequence: bool = True, alone: bool = False) -> bool:
        """Whether `cells` more fit, and a free `sequence` where that is wanted; what rests goes for it, but for
        `source`. Who is `alone` gets what there is."""
        for resting in list(self.resting):
            if self.fits(cells) and (self._free or not sequence):
                return True
            if resting != source:
                self.drop(resting)
        return (self.fits(cells) or alone) and (bool(self._free) or not sequence)

    def begin(self, source: int, length: int, voice: Hashable) -> int:
        """A sequence that has the first `length` tokens of `source`; one that rests and ends there is taken over. There
        must be room (`room`)."""
        if source in self.resting and length == self.tree.length(source):
            del self.resting[source]
            return source
        sequence = self._free.pop()
        if not length:
            self.tree.begin(sequence, voice)
            return sequence
        self.context.memory.copy(source, sequence, 0, length if self.partial else END)
        self.tree.fork(source, sequence, length)
        if source in self.resting:
            self.resting[source] = self.resting.pop(source)
        return sequence

    def cut(self, sequence: int, length: int) -> None:
        """It has its first `length` tokens only."""
        if length < self.tree.length(sequence):
            self.context.memory.remove(sequence, length)
            self.tree.cut(sequence, length)

    def shift(self, sequence: int, keep: int, gone: int) -> list[int]:
        """Forget `gone` tokens after the first `keep`, and move what follows to their places; what is left. Nobody else
        may have them. What was computed after them knows of them still, so that nobody may take it over."""
        tokens = self.tree.tokens(sequence)
        self.context.memory.remove(sequence, keep, keep + gone)
        self.context.memory.shift(sequence, keep + gone, END, -gone)
        left = tokens[:keep] + tokens[keep + gone :]
        self.tree.drop(sequence)
        self.tree.begin(sequence, ("shifted", sequence))
        self.tree.extend(sequence, left)
        return left

    def release(self, sequence: int) -> None:
        """Its answer is over; what it has may be somebody's beginning."""
        if self.tree.length(sequence) and self.tree.voice(sequence) != ("shifted", sequence):
            self.resting[sequence] = None
            self._thin()
        else:
            self.forget(sequence)

    def _thin(self) -> None:
        """Those that rest longest leave, until the others hold no more than they may; the newest stays."""
        cells = {sequence: self.tree.alone(sequence) for sequence in self.resting}
        excess = sum(cells.values()) - self._rest
        for sequence in list(self.resting)[:-1]:
            if excess <= 0:
                return
            excess -= cells[sequence]
            self.drop(sequence)

    def forget(self, sequence: int) -> int:
        """It is free; how many cells that freed."""
        self.context.memory.remove(sequence)
        self._free.append(sequence)
        return self.tree.drop(sequence)

    def drop(self, sequence: int, wait: float = 0.0) -> int:
        """One that rests leaves the cache; how many cells that freed. `wait` as for `keep`."""
        del self.resting[sequence]
        self.keep(sequence, wait)
        return self.forget(sequence)

    def keep(self, sequence: int, wait: float = 0.0) -> bool:
        """Put a copy of `sequence` on the shelf; False where it is there, not worth it, or there is no place, also
        after `wait` seconds."""
        tokens = self.tree.tokens(sequence) if self.shelf else []
        if self.shelf is None or len(tokens) < KEPT:
            return False
        voice = str(self.tree.voice(sequence))
        if self.shelf.has(tokens, voice):
            return False
        return self.shelf.save(tokens, self.context.memory.save(sequence), voice, wait)

    def fetch(self, tokens: list[int], voice: Hashable) -> None:
        """Where the shelf has clearly more of the beginning of `tokens` than the cache, take it from there."""
        held = self.beginning(tokens, voice)[1] if self.shelf else 0
        if self.shelf and self._patience and len(tokens) - held >= AWAITED:
            self.shelf.wait(self._patience)
            self._patience = 0.0
        found = self.shelf.find(tokens[:-1], held + KEPT, str(voice)) if self.shelf else None
        if self.shelf is None or found is None:
            return
        if not (self.partial or found.same == found.length) or not self.room(found.length):
            return
        loaded = self.shelf.load(found.path)
        if loaded is None:
            return
        sequence = self._free.pop()
        try:
            self.context.memory.load(sequence, loaded[1])
        except DecodeFailed as error:
            self.shelf.refuse(found.path, str(error))
            self._free.append(sequence)
            return
        self.tree.begin(sequence, voice)
        self.tree.extend(sequence, loaded[0])
        self.resting[sequence] = None
