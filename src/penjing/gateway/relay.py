"""The hot path: an engine's stream to a client, socket to socket, no task in between.

Whole events only are passed on, so that an error event can always follow. The first goes at once; when tokens come
faster than a person can see, what arrives within `REST_SECONDS` goes out together, which frees the processor for the
engine. A client that reads slowly pauses the engine's socket, so that memory stays bounded.

A `Writer` turns the events into the client's dialect on the way; OpenAI's changes nothing.

Does not know: what is in the events, but for counting them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import msgspec

from penjing.errors import PenjingError
from penjing.gateway.answer import Answer
from penjing.gateway.ask import Writer
from penjing.gateway.observe import EVENT, Watch, last_counts
from penjing.gateway.reply import Headers, Reply
from penjing.gateway.sse import DONE, FIELD
from penjing.gateway.upstream import EngineProtocol

STREAM_HEADERS: Headers = ((b"Cache-Control", b"no-cache"), (b"X-Accel-Buffering", b"no"))
REST_SECONDS = 0.003
EVENT_LIMIT = 8 << 20


class Relay:
    """A sink of the engine's answer and the flow of the client's reply."""

    def __init__(
        self, answer: Answer, reply: Reply, watch: Watch, writer: Writer, taps: list[Callable[[bytes], None]]
    ) -> None:
        self._answer = answer
        self._reply = reply
        self._watch = watch
        self._writer = writer
        self._taps = taps
        self._loop = asyncio.get_running_loop()
        self._done: asyncio.Future[None] = self._loop.create_future()
        self._held = b""
        self._tail = b""
        self._last = b""
        self._slow = False
        self._resting: asyncio.TimerHandle | None = None

    async def run(self) -> None:
        """Until the stream is over."""
        self._reply.flow = self
        self._answer.attach(self)
        try:
            await self._done
        finally:
            if self._resting is not None:
                self._resting.cancel()
            self._reply.flow = None

    # the engine's side

    def data(self, data: bytes) -> None:
        if self._held:
            data, self._held = self._held + data, b""
        if not data.endswith(b"\n\n"):
            data = self._whole(data)
            if not data:
                return
        self._tail, self._last = self._last, data
        for tap in self._taps:
            tap(data)
        try:
            written = self._writer.write(data)
        except PenjingError as error:
            self._answer.cancel()
            self.fail(error)
            return
        if self._reply.started:
            if written:
                self._reply.write(written)
        else:
            self._reply.begin(200, self._writer.content_type, STREAM_HEADERS, written)
        since = self._watch.tokens(data.count(EVENT))
        if since < REST_SECONDS and not self._slow and self._resting is None:
            self._answer.pause()
            self._resting = self._loop.call_later(REST_SECONDS, self._rested)

    def finish(self) -> None:
        if self._held.strip():
            rest, self._held = self._held.rstrip(), b""
            if not _complete(rest):
                self.fail(EngineProtocol(model=self._watch.model, detail="its stream ends inside an event"))
                return
            self.data(rest + b"\n\n")  # some servers leave out the last blank line
        self._watch.usage = last_counts(self._tail + self._last)
        if not self._reply.started:
            self._reply.begin(200, self._writer.content_type, STREAM_HEADERS)
        self._reply.end(self._writer.end())
        self._over()

    def fail(self, error: PenjingError) -> None:
        self._watch.status = self._watch.code = error.code
        if not self._reply.started:
            self._done.set_exception(error)
            return
        self._reply.end(self._writer.failed(error))
        self._over()

    # the client's side

    def pause(self) -> None:
        self._slow = True
        self._answer.pause()

    def resume(self) -> None:
        self._slow = False
        if self._resting is None:
            self._answer.resume()

    def _rested(self) -> None:
        self._resting = None
        if not self._slow:
            self._answer.resume()

    def _whole(self, data: bytes) -> bytes:
        """The whole events of `data`; the rest is held."""
        bare, carriage = data.rfind(b"\n\n"), data.rfind(b"\r\n\r\n")
        end = max(bare + 2 if bare >= 0 else 0, carriage + 4 if carriage >= 0 else 0)
        self._held = data[end:]
        if len(self._held) > EVENT_LIMIT:
            self._answer.cancel()
            self.fail(EngineProtocol(model=self._watch.model, detail="an event without an end"))
        return data[:end]

    def _over(self) -> None:
        if not self._done.done():
            self._done.set_result(None)


def _complete(event: bytes) -> bool:
    """Whether an event without its blank line lacks nothing else."""
    payload = event.rpartition(b"\n")[2].removeprefix(FIELD).strip()
    try:
        return payload == DONE or bool(msgspec.json.decode(payload))
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return False
