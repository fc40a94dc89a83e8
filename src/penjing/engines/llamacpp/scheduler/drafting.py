"""Guesses what comes next with a smaller model of the same vocabulary.

Speculative decoding (Y. Leviathan et al., "Fast Inference from Transformers via Speculative Decoding", 2023): guesses
are checked by the model itself, so that the text is the one it would have written alone.

Does not know: how guesses are checked, how many of them pay.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from penjing.engines.llamacpp.scheduler.stream import Stream
from penjing.engines.llamacpp.scheduler.tree import common
from penjing.errors import ModelError, PenjingError
from penjing.native.batch import Batch
from penjing.native.context import Context
from penjing.native.model import Model

SURE = 0.5
"""A guess that is less likely than that is not made: it costs as much as a right one."""


class DraftOfAnother(ModelError):
    """Facts: `draft`, `detail`."""

    template = "{draft} cannot guess for this model: {detail}"
    hint = "Take a smaller model of the same family, or leave --draft out."
    code = "draft_of_another"


def require_same_words(model: Model, draft: Model) -> None:
    """Raises DraftOfAnother where a token is another word to `draft`. Some models of a family have unused tokens at the
    end, more of them or fewer."""
    least = min(model.vocabulary_size, draft.vocabulary_size)
    odd = next((token for token in range(least) if model.word(token) != draft.word(token)), None)
    if odd is not None:
        words = f"{model.word(odd)!r} / {draft.word(odd)!r}"
        raise DraftOfAnother(draft=draft.path.name, detail=f"token {odd}: {words}")
    if draft.recurrent or draft.window:
        raise DraftOfAnother(draft=draft.path.name, detail="its state cannot be cut")


class Drafter:
    """Guesses with `context`, the draft model's, which has a sequence for each answer; only the first `words` tokens,
    which are those that the model has."""

    def __init__(self, context: Context, words: int) -> None:
        self.context, self._words = context, words
        self._batch = Batch(context.batch_size)
        self._free = list(range(context.sequences))
        self._held: dict[int, tuple[int, list[int]]] = {}

    def guess(self, stream: Stream, most: int) -> list[int]:
        """Up to `most` tokens that may follow those of `stream`; none where it cannot tell."""
        if id(stream.ask) not in self._held:
            if not self._free:
                return []
            self._held[id(stream.ask)] = (self._free.pop(), [])
        sequence, held = self._held[id(stream.ask)]
        same = min(common(held, stream.tokens, 0), len(stream.tokens) - 1)
        try:
            self.context.memory.remove(sequence, same)
            self._read(stream.tokens[same:], same, sequence)
            found = self._followed(len(stream.tokens), sequence, most)
        except PenjingError:  # no room for it: answers do without
            self.forget(stream)
            return []
        self._held[id(stream.ask)] = (sequence, [*stream.tokens, *found[:-1]])
        return found

    def forget(self, stream: Stream) -> None:
        """Its answer is over."""
        if held := self._held.pop(id(stream.ask), None):
            self.context.memory.remove(held[0])
            self._free.append(held[0])

    def set_threads(self, count: int) -> None:
        """Compute with so many from now on."""
        self.context.set_threads(count)

    def _read(self, tokens: Sequence[int], position: int, sequence: int) -> None:
        for start in range(0, len(tokens), self._batch.capacity):
            piece = tokens[start : start + self._batch.capacity]
            self._batch.clear()
            last = self._batch.extend(piece, position + start, sequence) + len(piece) - 1
            self._batch.wanted[last] = start + len(piece) == len(tokens)
            self.context.decode(self._batch)

    def _followed(self, position: int, sequence: int, most: int) -> list[int]:
        found: list[int] = []
        while len(found) < most:
            row = self.context.logits()[-1]
            token = int(row.argmax())
            if token >= self._words or 1 / np.exp(row - row[token], dtype=np.float32).sum() < SURE:
                break
            found.append(token)
            if len(found) < most:
                self._read([token], position + len(found) - 1, sequence)
        return found
