"""Which of many conversations begins most like another: all in the order of their tokens, none a beginning of another.

What has most in common with a conversation stands beside its place in that order, and so does what it goes on from.
Each takes two bytes a token, or four where the vocabulary is large, and nothing more, since there may be tens of
thousands.

Does not know: files, states.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

Tokens = NDArray[np.int32]
NARROW, WIDE, MOST = ">u2", ">u4", 0xFFFF
"""Bytes in this order compare as the tokens do: none is negative. Tokens up to MOST need the first alone."""


class Beginnings:
    """Conversations [n] i32, each once."""

    def __init__(self) -> None:
        self._all: list[bytes] = []
        self._kind = NARROW

    def __iter__(self) -> Iterator[Tokens]:
        return map(self._tokens, list(self._all))  # others may come and go meanwhile

    def add(self, tokens: Tokens) -> Tokens | None:
        """One more. Returns what is of no use beside the others: the one that it goes on from, or itself where another
        goes on from it."""
        if self._kind == NARROW and tokens.max(initial=0) > MOST:
            self._all = [self._tokens(each).astype(WIDE).tobytes() for each in self._all]
            self._kind = WIDE
        one = self._bytes(tokens)
        at = bisect_left(self._all, one)
        if at < len(self._all) and self._all[at].startswith(one):
            return None if self._all[at] == one else tokens
        if at and one.startswith(self._all[at - 1]):
            before, self._all[at - 1] = self._all[at - 1], one
            return self._tokens(before)
        self._all.insert(at, one)
        return None

    def drop(self, tokens: Tokens) -> None:
        """It is gone, if it was there."""
        one = self._bytes(tokens)
        at = bisect_left(self._all, one)
        if len(self._known(tokens)) == len(tokens) and at < len(self._all) and self._all[at] == one:
            del self._all[at]

    def nearest(self, tokens: Tokens) -> tuple[Tokens, int]:
        """The one that has most of the beginning of `tokens`, and how many; an empty one where there is none."""
        known = self._known(tokens)
        at = bisect_left(self._all, self._bytes(known))
        beside = [self._tokens(each) for each in self._all[max(0, at - 1) : at + 1]]
        found = [(each, common(each, known)) for each in beside]
        return max(found, key=lambda one: one[1], default=(tokens[:0], 0))

    def _known(self, tokens: Tokens) -> Tokens:
        """What may be in some of them: where all tokens are small, up to the first that is not."""
        large = np.flatnonzero(tokens > MOST)
        return tokens[: int(large[0])] if self._kind == NARROW and large.size else tokens

    def _bytes(self, tokens: Tokens) -> bytes:
        return tokens.astype(self._kind).tobytes()

    def _tokens(self, one: bytes) -> Tokens:
        return np.frombuffer(one, self._kind).astype(np.int32)


def common(one: Tokens, other: Tokens) -> int:
    """How many tokens both begin with."""
    count = min(len(one), len(other))
    differ = np.flatnonzero(one[:count] != other[:count])
    return int(differ[0]) if len(differ) else count
