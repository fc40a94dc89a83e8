"""Guesses what comes next from what was there: where the last few tokens stood before, what followed them then.

Prompt lookup decoding (n-gram speculation without a second model; A. Saxena, "Prompt Lookup Decoding", 2023). How many
tokens are guessed follows from how many guesses were right: a wrong one costs a part of a step.

Does not know: the model. Its guesses are checked by who computes them, so that the text stays the same.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

LENGTH = 3
"""Tokens that must have stood together before."""
FEWEST, MOST = 2, 16
"""Tokens that are guessed at once."""
LONGEST_REST = 64
"""Steps without a guess, after guesses that were all wrong."""


class Trust:
    """How many tokens it pays to guess, by how many of those guessed were right."""

    def __init__(self) -> None:
        self._size, self._rest, self._pause = FEWEST, 1, 0

    def guess(self, most: int, known: Callable[[int], list[int]]) -> list[int]:
        """What `known` says of up to so many tokens, `most` at most; nothing for a while after what was wrong."""
        if self._pause:
            self._pause -= 1
            return []
        return known(min(self._size, most))

    def learn(self, guessed: int, right: int) -> None:
        """`right` of `guessed` tokens were."""
        if right == guessed:
            self._size, self._rest = min(2 * self._size, MOST), 1
        elif right:
            self._size, self._rest = max(FEWEST, min(right + 1, MOST)), 1
        else:
            self._size, self._pause = FEWEST, self._rest
            self._rest = min(2 * self._rest, LONGEST_REST)


class Lookup:
    """What was said in one conversation, and how well guesses went (`trust`)."""

    def __init__(self) -> None:
        self._tokens: list[int] = []
        self._places: dict[tuple[int, ...], int] = {}
        self.trust = Trust()

    def extend(self, tokens: Sequence[int]) -> None:
        """`tokens` come next."""
        self._tokens.extend(tokens)
        total = len(self._tokens)
        # The last LENGTH tokens are noted only when one more has come: they must not find themselves.
        for end in range(max(LENGTH, total - len(tokens)), total):
            self._places[tuple(self._tokens[end - LENGTH : end])] = end

    def guess(self, most: int) -> list[int]:
        """Up to `most` tokens that may come next; none where nothing is known or guesses have not paid."""
        return self.trust.guess(most, self._following)

    def _following(self, count: int) -> list[int]:
        at = self._places.get(tuple(self._tokens[-LENGTH:]))
        return [] if at is None else self._tokens[at : at + count]
