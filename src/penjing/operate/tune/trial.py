"""One way tried: an engine is started, asked, timed and ended.

What is asked: a long prompt for one token (reading), a short one for many (answering), several at once, and the next
token after beginnings that all ways are asked (agreement).

Does not know: which ways there are, which is best.
"""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from statistics import median

from penjing.engines.engine import Engine
from penjing.errors import PenjingError
from penjing.operate.measure.prompts import sentences
from penjing.operate.measure.sample import Sample, every_token
from penjing.operate.measure.wire import Connection, Heard, request
from penjing.operate.tune.ways import Way

CLIENTS = 4
"""How many ask at once."""
PATIENCE = 120.0
"""Seconds in which an answer must be whole."""
WARM, SHORT = 24, 16
"""Words of the first prompt, and of those that are answered at length."""
QUESTIONS = (
    "The capital of France is",
    "Quantization makes a model smaller because",
    "法国的首都是",
    "量化是指把模型的权重",
)
ANSWER = 16
"""Tokens of the answers whose beginnings all ways go on from."""
PARTS = (0.0, 0.25, 0.5, 0.75)
"""Of which answers so much is given."""
ENOUGH = 0.9
"""Share of next tokens that must be the same."""
Make = Callable[[Way], Engine]


@dataclass(frozen=True)
class Size:
    """Words of the long prompt, and tokens of an answer."""

    prompt: int = 256
    said: int = 32


@dataclass(frozen=True)
class Round:
    """Tokens a second: `prefill` of a long prompt, `decode` of one answer, `many` of several together."""

    prefill: float
    decode: float
    many: float


@dataclass
class Tried:
    """What came of a `way`. `same` is the share of next tokens that are those of the first way, None where it was not
    asked; `ready` is the seconds until it answered; `error` says why it could not be tried."""

    way: Way
    rounds: list[Round] = field(default_factory=list)
    same: float | None = None
    ready: float = 0.0
    error: str = ""

    @property
    def good(self) -> bool:
        """Whether it computes, and says what the first way says."""
        return bool(self.rounds) and not self.error and (self.same is None or self.same >= ENOUGH)

    def middle(self, name: str) -> float:
        """The median of `prefill`, `decode` or `many` over its rounds, in tokens a second; 0.0 before the first."""
        return median(getattr(each, name) for each in self.rounds) if self.rounds else 0.0


class Trials:
    """Tries ways with engines that `make` makes. `expected` is what the first one went on with."""

    def __init__(self, make: Make, size: Size) -> None:
        self._make, self.size = make, size
        self._dice = random.Random(1)
        self.expected: list[tuple[str, str]] = []

    async def round(self, tried: Tried) -> None:
        """One more round of it; what goes wrong becomes its `error`."""
        engine = self._make(tried.way)
        begun = time.perf_counter()
        try:
            await engine.start()
            asker = Asker(engine, self._dice)
            await asker.say(WARM, 2)
            tried.ready = time.perf_counter() - begun
            if tried.same is None:
                tried.same = await self._agreement(asker)
            tried.rounds.append(await asker.round(self.size))
        except PenjingError as error:
            tried.error = error.message()
        finally:
            await asyncio.shield(engine.stop())

    async def _agreement(self, asker: Asker) -> float:
        if not self.expected:
            self.expected = [pair for question in QUESTIONS for pair in await asker.beginnings(question)]
            return 1.0
        found = [await asker.next(beginning) for beginning, _ in self.expected]
        same = sum(one == wanted for one, (_, wanted) in zip(found, self.expected, strict=True))
        return same / len(self.expected)


class NoAnswer(PenjingError):
    """Facts: `detail`."""

    template = "no answer: {detail}"
    code = "tune_no_answer"


class Asker:
    """Asks `engine`, with prompts of `dice` that no cache has seen."""

    def __init__(self, engine: Engine, dice: random.Random) -> None:
        self._engine, self._dice = engine, dice

    async def round(self, size: Size) -> Round:
        """All three figures."""
        read = await self.say(size.prompt, 1)
        said = await self.say(SHORT, size.said)
        together = await asyncio.gather(*(self.say(size.prompt // 4, size.said) for _ in range(CLIENTS)))
        seconds = max(each.ended for each in together) - min(each.asked for each in together)
        # A busy machine may let all tokens be read at one moment, with no time between them: then the whole answer.
        decode = said.decode or said.completion_tokens / said.whole
        return Round(read.prefill, decode, sum(each.completion_tokens for each in together) / seconds)

    async def say(self, words: int, tokens: int) -> Sample:
        """An answer of so many tokens to a prompt of so many words. Raises NoAnswer."""
        prompt = " ".join(sentences(self._dice, words))
        body = {"prompt": prompt, "max_tokens": tokens, "temperature": 0, "ignore_eos": True, "stream": True}
        heard = await self._ask({**body, "stream_options": {"include_usage": True}})
        found = every_token(heard)
        if found.error:
            raise NoAnswer(detail=found.error)
        return found

    async def beginnings(self, question: str) -> list[tuple[str, str]]:
        """Beginnings of its own answer to `question`, and what it goes on with after each."""
        answer = await self.next(question, ANSWER)
        starts = dict.fromkeys(question + answer[: int(len(answer) * part)] for part in PARTS)
        return [(start, await self.next(start)) for start in starts]

    async def next(self, beginning: str, tokens: int = 1) -> str:
        """The likeliest text after `beginning`. Raises NoAnswer."""
        body = {"prompt": beginning, "max_tokens": tokens, "temperature": 0, "ignore_eos": True}
        heard = await self._ask(body)
        try:
            return str(json.loads(heard.body)["choices"][0]["text"])
        except (ValueError, LookupError, TypeError) as error:
            raise NoAnswer(detail=heard.error or f"HTTP {heard.status}") from error

    async def _ask(self, body: dict[str, object]) -> Heard:
        address = self._engine.address
        line = Connection(address)
        asked = {"model": self._engine.capabilities.model, **body}
        try:
            return await line.ask(request(address, "/v1/completions", asked), PATIENCE)
        finally:
            line.close()
