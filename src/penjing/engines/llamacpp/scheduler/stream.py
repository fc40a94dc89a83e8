"""One answer that is being computed: what is known of its sequence, and what of that is in the cache.

Does not know: other answers, the cache.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from penjing.engines.llamacpp.scheduler.asked import LENGTH, STOP, Ask, Likely, Said
from penjing.engines.llamacpp.scheduler.lookup import Lookup, Trust
from penjing.native.sampler import Sampler

if TYPE_CHECKING:
    from penjing.engines.llamacpp.scheduler.scheduler import Guesser


class Stream:
    """`ask` in `sequence`, whose first `done` of `tokens` are in the cache. `drafts` are guesses behind them that are
    being computed. It ends when `over`."""

    def __init__(self, ask: Ask, sampler: Sampler) -> None:
        self.ask, self.sampler = ask, sampler
        self.tokens = [*ask.prompt, *ask.said]
        self.sequence, self.done = -1, 0
        self.drafts: list[int] = []
        self.over = False
        self._lookup: Lookup | None = None
        self._trust = Trust()
        self._guesser: Guesser | None = None

    @property
    def pending(self) -> int:
        """Tokens that are known and not in the cache."""
        return len(self.tokens) - self.done

    @property
    def answering(self) -> bool:
        """Whether its prompt is computed: each step gives a token."""
        return self.pending == 1 and bool(self.ask.said)

    def again(self) -> Stream:
        """The same, with nothing in the cache."""
        other = Stream(self.ask, self.sampler)
        other.tokens, other._trust = self.tokens, self._trust
        return other

    def forget(self, keep: int, gone: int) -> None:
        """`gone` tokens after the first `keep` never were."""
        self.tokens = self.tokens[:keep] + self.tokens[keep + gone :]
        self._lookup = None

    def guess(self, most: int, guesser: Guesser | None = None) -> list[int]:
        """What may come next, by what was there, else by the `guesser`; notes it as `drafts`."""
        if self._lookup is None:
            self._lookup = Lookup()
            self._lookup.extend(self.tokens)
        most = min(most, self.ask.limit - len(self.ask.said) - 1)
        self.drafts, self._guesser = self._lookup.guess(most), None
        if not self.drafts and guesser is not None and most > 0:
            self.drafts = self._trust.guess(most, lambda count: guesser.guess(self, count))
            self._guesser = guesser
        return self.drafts

    def hear(self, rows: NDArray[np.float32]) -> int:
        """Choose from logits f32 [1 + drafts, vocabulary] of the last token and the guesses behind it, tell each, and
        return how many of the guesses were right."""
        right = 0
        for row in rows:
            forced = self.ask.forced
            token = forced.popleft() if forced else self.sampler.choose(row)
            self.sampler.accept(token)
            self._say(token, row)
            if self.over or right == len(self.drafts) or token != self.drafts[right]:
                break
            right += 1
        if self.drafts and self._lookup is not None:
            (self._trust if self._guesser else self._lookup.trust).learn(len(self.drafts), right)
        self.drafts = []
        return right

    def _say(self, token: int, row: NDArray[np.float32]) -> None:
        ask = self.ask
        ask.said.append(token)
        self.tokens.append(token)
        if self._lookup is not None:
            self._lookup.extend([token])
        finish = STOP if token in ask.ends else LENGTH if len(ask.said) >= ask.limit else ""
        likely = () if ask.likely is None else likeliest(row, token, ask.likely)
        self.over = not ask.hear(Said(token, finish, likely)) or bool(finish)

    def fail(self, error: Exception) -> None:
        """It ends here."""
        self.over = True
        self.ask.hear(Said(-1, error=error))


def likeliest(row: NDArray[np.float32], token: int, count: int) -> tuple[Likely, ...]:
    """`token` and the `count` most likely ones of logits f32 [vocabulary]."""
    logits = row.astype(np.float64)
    top = logits.max()
    logits -= top + np.log(np.exp(logits - top).sum())
    count = min(count, len(logits))
    best = np.argpartition(logits, -count)[-count:] if count else np.empty(0, np.int64)
    best = best[np.argsort(-logits[best], kind="stable")]
    return tuple(Likely(int(one), float(logits[one])) for one in (token, *best))
