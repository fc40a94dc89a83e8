"""A load: questions of one shape, so many at once or so many a second.

Closed (each client asks again when its answer is complete) where `rate` is 0. Open otherwise: questions leave at random
moments (a Poisson process), `rate` a second in the mean, whether or not earlier ones were answered, so that a server
that falls behind shows it.

Does not know: figures, engines.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable
from dataclasses import dataclass

from penjing.operate.measure.prompts import Prompts
from penjing.operate.measure.sample import Sample, sample
from penjing.operate.measure.target import PATIENCE, Target
from penjing.operate.measure.wire import Connection


@dataclass(frozen=True)
class Load:
    """`prompt` and `output` in tokens, of which the first `shared` of the prompt are the same in every question.
    `clients` ask at once; `requests` in all, 0 for as many as `seconds` allow. `rate` in questions a second."""

    prompt: int = 128
    output: int = 64
    clients: int = 1
    requests: int = 0
    seconds: float = 0.0
    rate: float = 0.0
    shared: int = 0


@dataclass
class Taken:
    """Samples, and seconds from the first question to the last end."""

    samples: list[Sample]
    seconds: float


Heard = Callable[[Sample], None]


async def run(target: Target, prompts: Prompts, load: Load, hear: Heard, stop: asyncio.Event) -> Taken:
    """Ask `load` of `target`. `hear` is told each answer. When `stop` is set what is under way is given up, and what
    was measured until then comes back."""
    questions = [
        target.question(await prompts.make(load.prompt, load.shared), load.output)
        for _ in range(load.requests or load.clients)
    ]
    asking = _Asking(target, load, questions, prompts, hear)
    work = asyncio.ensure_future(asking.open() if load.rate else asking.closed())
    halt = asyncio.ensure_future(stop.wait())
    began = time.perf_counter()
    try:
        await asyncio.wait((work, halt), return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in (work, halt):
            task.cancel()
        await asyncio.gather(work, halt, return_exceptions=True)
    if work.done() and not work.cancelled():
        work.result()
    ends = [one.ended for one in asking.samples]
    return Taken(asking.samples, max(ends, default=began) - began)


class _Asking:
    """One load under way."""

    def __init__(self, target: Target, load: Load, questions: list[bytes], prompts: Prompts, hear: Heard) -> None:
        self.samples: list[Sample] = []
        self._target = target
        self._load = load
        self._questions = questions
        self._prompts = prompts
        self._hear = hear
        self._began = time.perf_counter()
        self._idle: list[Connection] = []

    async def closed(self) -> None:
        await asyncio.gather(*(self._client() for _ in range(self._load.clients)))

    async def _client(self) -> None:
        line = Connection(self._target.address)
        try:
            while question := await self._next():
                await self._ask(line, question)
        finally:
            line.close()

    async def _next(self) -> bytes:
        """The next question, b"" where there is none."""
        if self._load.seconds and time.perf_counter() - self._began >= self._load.seconds:
            return b""
        if self._questions:
            return self._questions.pop()
        if self._load.requests:
            return b""
        return self._target.question(await self._prompts.make(self._load.prompt, self._load.shared), self._load.output)

    async def open(self) -> None:
        chance, due, running = random.Random(1), 0.0, set[asyncio.Task[None]]()
        try:
            while question := await self._next():
                due += chance.expovariate(self._load.rate)
                await asyncio.sleep(max(0.0, self._began + due - time.perf_counter()))
                if self._load.seconds and due >= self._load.seconds:
                    break
                task = asyncio.ensure_future(self._single(question))
                running.add(task)
                task.add_done_callback(running.discard)
            await asyncio.gather(*running)
        finally:
            for task in running:
                task.cancel()
            for line in self._idle:
                line.close()

    async def _single(self, question: bytes) -> None:
        line = self._idle.pop() if self._idle else Connection(self._target.address)
        try:
            await self._ask(line, question)
        except asyncio.CancelledError:
            line.close()
            raise
        self._idle.append(line)

    async def _ask(self, line: Connection, question: bytes) -> None:
        found = sample(await line.ask(question, PATIENCE))
        self.samples.append(found)
        self._hear(found)
