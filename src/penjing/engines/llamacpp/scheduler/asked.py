"""What is asked of the scheduler and what it says: tokens in, tokens out.

Does not know: text, HTTP.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from penjing.native.sampler import Sampling

STOP, LENGTH = "stop", "length"
"""Why an answer ended (OpenAI's words)."""


@dataclass(frozen=True)
class Likely:
    """A token and the logarithm of its probability before sampling (no temperature, no limits)."""

    token: int
    logprob: float


@dataclass(frozen=True)
class Said:
    """One token of an answer, or its end: `finish` is STOP, LENGTH or empty, `error` what went wrong. `token` is -1
    where there is none. `likely`: the token's own probability first, then the most likely ones."""

    token: int
    finish: str = ""
    likely: tuple[Likely, ...] = ()
    error: Exception | None = None


Voice = tuple[float, ...]
"""The weight of each LoRA adapter of the worker, in their order."""
Hear = Callable[[Said], bool]
"""Told each token in the scheduler's thread, so it must be quick; False: that is enough."""


@dataclass(eq=False)
class Ask:
    """`prompt` in tokens, at least one; at most `limit` tokens of answer, fewer where one of `ends` is said, computed
    with `voice`. With `likely` the probabilities of so many tokens are told (None: of none). The first `keep` tokens
    stay where a conversation forgets its oldest. Without `reuse` its whole prompt is computed, whatever the cache has
    of it. `cancelled` may be set from any thread. `cached` is how many tokens of the prompt were not computed again.
    Tokens put into `forced`, by `hear` only, are said next whatever the model would say."""

    prompt: list[int]
    limit: int
    hear: Hear
    sampling: Sampling = field(default_factory=Sampling)
    ends: frozenset[int] = frozenset()
    likely: int | None = None
    voice: Voice = ()
    keep: int = 0
    guess: bool = True
    reuse: bool = True
    cancelled: bool = False
    cached: int = 0
    said: list[int] = field(default_factory=list)
    forced: deque[int] = field(default_factory=deque)
