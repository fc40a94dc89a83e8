"""`Answer`: what an engine says to one request, from its head on.

It is read whole, iterated as events, or handed byte by byte to a `Sink` without a task in between.

Does not know: how the bytes come (its `Source` does), what they mean.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, AsyncIterator, Callable
from typing import Protocol

from penjing.errors import EngineError, PenjingError
from penjing.messages import Chunk

BUFFER_HIGH = 256 * 1024
"""Bytes of a stream that wait for somebody to take them before the engine has to wait."""
WHOLE_LIMIT = 256 * 1024 * 1024
"""Bytes of an answer that is read whole: room for 2,048 embeddings of 8,192 numbers."""


class TooLong(EngineError):
    """Facts: `bytes`."""

    template = "The engine's answer is longer than {bytes} bytes."
    code = "engine_protocol"


async def leave(events: AsyncIterable[object]) -> None:
    """Tell whoever makes `events` that no more are wanted."""
    close = getattr(events, "aclose", None)
    if close is not None:
        await close()


class Sink(Protocol):
    """Where an answer's bytes go. After `finish` or `fail` nothing more comes."""

    def data(self, data: bytes) -> None: ...

    def finish(self) -> None: ...

    def fail(self, error: PenjingError) -> None: ...


class Source(Protocol):
    """Whoever feeds an answer."""

    def pause(self, answer: Answer) -> None: ...

    def resume(self, answer: Answer) -> None: ...

    def rest(self, answer: Answer, seconds: float) -> None: ...

    def abort(self) -> None: ...


class _Nobody:
    """The source of an answer that nobody feeds any more."""

    def pause(self, answer: Answer) -> None:
        """Nothing comes."""

    def resume(self, answer: Answer) -> None:
        """Nothing comes."""

    def rest(self, answer: Answer, seconds: float) -> None:
        """Nothing comes."""

    def abort(self) -> None:
        """Nothing is on its way."""


class Answer:
    """An engine's answer from its head on. An async iterator of `Chunk`s, unless `read` or `attach` took it."""

    def __init__(self, source: Source, status: int, content_type: bytes) -> None:
        self.status = status
        self.content_type = content_type
        self._source = source
        self._pieces: list[bytes] = []
        self._size = 0
        self._whole = False
        self._done = False
        self._error: PenjingError | None = None
        self._sink: Sink | None = None
        self._more: asyncio.Future[None] | None = None
        self._begun = False

    @property
    def streams(self) -> bool:
        """Whether these are server-sent events."""
        return self.content_type.startswith(b"text/event-stream")

    def attach(self, sink: Sink) -> None:
        """From now on everything goes to `sink` as it comes."""
        self._sink = sink
        if self._pieces:
            sink.data(self._take())
        self._end()

    async def read(self) -> bytes:
        """All of the body. Raises EngineDied, EngineSilent, TooLong."""
        self._whole = True
        self.resume()
        while not self._done:
            await self._wait()
        if self._error is not None:
            raise self._error
        return self._take()

    async def begun(self, enough: Callable[[bytes], bool] = bool) -> None:
        """Wait for the beginning of a stream, as far as it is `enough`, and for all of another answer, without taking
        them: until then it can still be asked of another engine. Raises what broke it before, and what `enough` raises.
        """
        while not (self._done or self._begun):
            self._begun = self.streams and (self._size > BUFFER_HIGH or enough(b"".join(self._pieces)))
            if not self._begun:
                await self._wait()
        if self._error is not None and not (self._begun or (self.streams and enough(b"".join(self._pieces)))):
            raise self._error

    async def __aiter__(self) -> AsyncIterator[Chunk]:
        while True:
            if self._pieces:
                yield Chunk(self._take())
                self.resume()
            elif self._error is not None:
                raise self._error
            elif self._done:
                return
            else:
                await self._wait()

    def pause(self) -> None:
        """Take no more bytes from the engine for now."""
        self._source.pause(self)

    def resume(self) -> None:
        self._source.resume(self)

    def rest(self, seconds: float) -> None:
        """Take what came only every `seconds` (one of `beat.BEATS`), as long as something comes."""
        self._source.rest(self, seconds)

    def cancel(self) -> None:
        """Nobody wants the rest: the engine is told by a closed connection."""
        if not self._done:
            self._done = True
            self._source.abort()

    async def aclose(self) -> None:
        """As `cancel`; what async iterators are closed with."""
        self.cancel()

    @classmethod
    def of(cls, body: bytes, content_type: bytes = b"application/json") -> Answer:
        """An answer that is here already."""
        answer = cls(_Nobody(), 200, content_type)
        answer.feed([body])
        answer.complete()
        return answer

    # the source's side

    def feed(self, pieces: list[bytes]) -> None:
        if self._sink is not None:
            self._sink.data(pieces[0] if len(pieces) == 1 else b"".join(pieces))
            return
        self._pieces += pieces
        self._size += sum(map(len, pieces))
        if self.streams and not self._whole and self._size > BUFFER_HIGH:
            self.pause()
        elif self._size > WHOLE_LIMIT and not self._done:
            self.broken(TooLong(bytes=WHOLE_LIMIT))
            self._source.abort()
            return
        self._wake()

    def complete(self) -> None:
        self._done = True
        self._end()

    def broken(self, error: PenjingError) -> None:
        if not self._done:
            self._error = error
            self._done = True
            self._end()

    def _end(self) -> None:
        if self._done and self._sink is not None:
            sink, self._sink = self._sink, None
            if self._error is not None:
                sink.fail(self._error)
            else:
                sink.finish()
        self._wake()

    def _take(self) -> bytes:
        pieces, self._pieces, self._size = self._pieces, [], 0
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    async def _wait(self) -> None:
        self._more = asyncio.get_running_loop().create_future()
        await self._more

    def _wake(self) -> None:
        if self._more is not None and not self._more.done():
            self._more.set_result(None)
