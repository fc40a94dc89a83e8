"""The hot path: an engine's stream to a client, socket to socket, no task in between.

Whole events only are passed on, each seen to be JSON in UTF-8, so that an error event can always follow. The first
goes at once; tokens that come faster than a person can see are read at a beat (`beat`) and go out together, which frees
the processor for the engine. A client that reads slowly pauses the engine's socket, so that memory stays bounded.

A `Writer` turns the events into the client's dialect on the way; OpenAI's changes nothing.

Does not know: what is in the events, but for counting them and seeing how the stream ends.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable

import msgspec

from penjing.errors import EngineError, PenjingError
from penjing.gateway import sse
from penjing.gateway.answer import Answer
from penjing.gateway.ask import Writer
from penjing.gateway.beat import BEATS, beat
from penjing.gateway.observe import EVENT, Watch
from penjing.gateway.reply import Headers, Reply
from penjing.gateway.sse import DONE, FIELD
from penjing.gateway.upstream import EngineProtocol

LONGEST = BEATS[-1]
STREAM_HEADERS: Headers = ((b"Cache-Control", b"no-cache"), (b"X-Accel-Buffering", b"no"))
FAILED = re.compile(rb'data: ?\{"error"')


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
        self._done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._held = b""
        self._tail = b""
        self._last = b""
        self._slow = False

    async def run(self) -> None:
        """Until the stream is over."""
        self._reply.flow = self
        self._answer.attach(self)
        try:
            await self._done
        finally:
            self._reply.flow = None

    # the engine's side

    def data(self, data: bytes) -> None:
        if self._done.done():
            return
        if self._held:
            data, self._held = self._held + data, b""
        if not data.endswith(b"\n\n"):
            data = self._whole(data)
            if not data:
                return
        if detail := sse.fault(data):
            self._pass_on(sse.sound(data))
            self._give_up(EngineProtocol(model=self._watch.model, detail=detail))
        else:
            self._pass_on(data)

    def _pass_on(self, data: bytes) -> None:
        """Whole, sound events to the client."""
        if not data:
            return
        self._tail, self._last = self._last, data
        for tap in self._taps:
            tap(data)
        try:
            written = self._writer.write(data)
        except PenjingError as error:
            self._give_up(error)
            return
        if self._reply.started:
            if written:
                self._reply.write(written)
        else:
            self._reply.begin(200, self._writer.content_type, STREAM_HEADERS, written)
        if data.endswith(sse.LAST):
            self._told_all()
        events = data.count(EVENT)
        since = self._watch.tokens(events)
        if since < LONGEST * events and not self._slow:
            seconds = beat(self._watch.age, since / events)
            if seconds:
                self._answer.rest(seconds)

    def finish(self) -> None:
        if self._held.strip():
            rest, self._held = self._held.rstrip(), b""
            if not _complete(rest):
                self.fail(EngineProtocol(model=self._watch.model, detail="its stream ends inside an event"))
                return
            self.data(rest + b"\n\n")  # some servers leave out the last blank line
        if self._done.done():
            return
        tail = self._told_all()
        if not self._watch.code and sse.DONE not in tail and not sse.FINISHED.search(tail):
            self._watch.whole = False
            self.fail(EngineProtocol(model=self._watch.model, detail="its stream ends before the answer does"))
            return
        if not self._reply.started:
            self._reply.begin(200, self._writer.content_type, STREAM_HEADERS)
        self._reply.end(self._writer.end())
        self._over()

    def _told_all(self) -> bytes:
        """Counts and complaints of the last events, which are returned."""
        tail = self._tail + self._last
        self._watch.told_all(tail)
        if FAILED.search(tail):
            self._watch.status = self._watch.code = EngineError.code
        return tail

    def fail(self, error: PenjingError) -> None:
        if self._done.done():
            return
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
        self._answer.resume()

    def _whole(self, data: bytes) -> bytes:
        """The whole events of `data`; the rest is held."""
        bare, carriage = data.rfind(b"\n\n"), data.rfind(b"\r\n\r\n")
        end = max(bare + 2 if bare >= 0 else 0, carriage + 4 if carriage >= 0 else 0)
        self._held = data[end:]
        if len(self._held) > sse.EVENT_LIMIT:
            self._give_up(EngineProtocol(model=self._watch.model, detail="an event without an end"))
            return b""
        return data[:end]

    def _give_up(self, error: PenjingError) -> None:
        self._answer.cancel()
        self.fail(error)

    def _over(self) -> None:
        self._done.set_result(None)


def _complete(event: bytes) -> bool:
    """Whether an event without its blank line lacks nothing else."""
    payload = event.rpartition(b"\n")[2].removeprefix(FIELD).strip()
    try:
        return payload == DONE or bool(msgspec.json.decode(payload))
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return False
