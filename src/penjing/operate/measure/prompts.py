"""Prompts of so many tokens: plain sentences in an order of their own each time, so that no cache has seen them.

Where the server counts tokens, a prompt has exactly the length asked for, template included. Elsewhere words are
estimated from one answer's usage; the figures tell the lengths as they were counted.

Does not know: how the answers are.
"""

from __future__ import annotations

import random

from penjing.operate.measure.sample import sample
from penjing.operate.measure.target import Target, once

SENTENCES = """\
A small tree in a tray can look as old as one on a mountain.
Water it when the soil feels dry, in the morning rather than at noon.
The roots are cut a little each second spring, so that they stay fine.
A stone beside it is a cliff, and white sand is a lake without wind.
Wire bends a branch over months, and is taken off before it marks the bark.
Moss grows where there is shade, and tells you that the air is moist.
The pot should be quieter than the tree, and never deeper than it must be.
In winter it sleeps outside, covered from wind but not from the cold.
Who looks after one for years learns more of patience than of trees.
A landscape needs empty space, or the eye has nowhere to go.
Pines want sun all day, maples want it until the early afternoon.
Turn the tray a quarter every week, because leaves follow the light.
An old master kept a notebook of every cut he had made and why.
When the first leaves open, wait with the scissors until they have hardened.
The best season for beginning is the one in which you have time.
Small leaves come from good light and from not too much water.""".splitlines()
FILL = " so"
"""A word that is one token in the vocabularies of all models we know of."""
TRIES = 8
TRIAL_WORDS = 120


class Prompts:
    """Prompts for `target`; the same `seed` gives the same ones."""

    def __init__(self, target: Target, seed: int = 1) -> None:
        self._target = target
        self._chance = random.Random(seed)
        self._shared: dict[int, str] = {}
        self._words_per_token = 0.0

    @property
    def exact(self) -> bool:
        """Whether lengths are counted rather than estimated."""
        return bool(self._target.counts)

    async def make(self, tokens: int, shared: int = 0) -> str:
        """A prompt that is `tokens` long with its template, of which the first `shared` are the same each time."""
        begin = ""
        if shared:
            if shared not in self._shared:
                self._shared[shared] = await self._text(shared - self._target.overhead)
            begin = self._shared[shared] + "\n\n"
        return await self._text(tokens - self._target.overhead, begin)

    async def _text(self, tokens: int, begin: str = "") -> str:
        words = self._words(tokens)
        if not self.exact:
            if not self._words_per_token:
                await self._learn()
            return begin + " ".join(words[: max(1, round(tokens * self._words_per_token) - len(begin.split()))])
        low, high = 1, len(words)
        while low < high:  # the most words that are not too long
            middle = (low + high + 1) // 2
            if await self._length(begin + " ".join(words[:middle])) <= tokens:
                low = middle
            else:
                high = middle - 1
        text = begin + " ".join(words[:low])
        for _ in range(TRIES):
            lacking = tokens - await self._length(text)
            if lacking <= 0:
                break
            text += FILL * lacking
        return text

    def _words(self, tokens: int) -> list[str]:
        """Words for at least `tokens` tokens, beginning with a number nobody had before."""
        return sentences(self._chance, tokens)

    async def _length(self, text: str) -> int:
        return await self._target.count(text) or 0

    async def _learn(self) -> None:
        """How many words make a token here, template left out, from the usage of two short answers."""
        lengths = []
        for count in (1, TRIAL_WORDS):
            words = self._words(TRIAL_WORDS)[:count]
            heard = await once(self._target.address, self._target.question(" ".join(words), 1))
            lengths.append(sample(heard).prompt_tokens)
        grown = lengths[1] - lengths[0]
        self._words_per_token = (TRIAL_WORDS - 1) / grown if grown > 0 else 0.75


def sentences(chance: random.Random, count: int) -> list[str]:
    """`count` words (at least one), beginning with a number nobody had before."""
    words = [f"{chance.randrange(10**6):06d}:"]
    while len(words) < count:
        order = list(SENTENCES)
        chance.shuffle(order)
        words += " ".join(order).split()
    return words[: max(count, 1)]
