"""One connection to an engine: a question out, an `Answer` in.

A stream whose tokens come fast is read at a beat (`beat`), straight from its socket. Foreign errors become penjing's
here, and an engine that hangs becomes one (`silence`).

Does not know: which connection a question takes (`upstream` does), dialects, clients.
"""

from __future__ import annotations

import asyncio
import os
import sys
from typing import Protocol, cast

import httptools

from penjing.errors import EngineDied, EngineError, PenjingError
from penjing.gateway.answer import Answer
from penjing.gateway.beat import Beats
from penjing.gateway.silence import EngineSilent, Silence

FRAMING = (b"content-length", b"transfer-encoding")
PIECE = 256 * 1024
"""Bytes read at one beat."""
MISSES = 2
"""Beats without a byte after which a stream is read as it comes again."""


class EngineProtocol(EngineError):
    """The engine's answer is not valid HTTP. Facts: `model`, `detail`."""

    template = "The engine of {model} sent something that is not HTTP: {detail}"
    code = "engine_protocol"


class Keeper(Protocol):
    """Whoever links belong to."""

    model: str
    beats: Beats
    silence: Silence

    def release(self, link: Link) -> None:
        """The link's request is over."""


class Link(asyncio.Protocol):
    """One connection to an engine; also the callbacks of its parser."""

    def __init__(self, pool: Keeper) -> None:
        self.transport = cast(asyncio.Transport, None)
        self.used = 0
        self.idle_since = 0.0
        self.closed = False
        self.touched = False
        """Whether the present request got any byte back."""
        self._pool = pool
        self._working = False
        self._head: asyncio.Future[Answer] | None = None
        self._answer: Answer | None = None
        self._pieces: list[bytes] = []
        self._paused = False
        self._beat = 0.0
        self._missed = 0
        self._bare = -1
        self._heard = 0.0
        self._silent = True

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        if transport.get_extra_info("ssl_object") is None and sys.platform != "win32":
            self._bare = transport.get_extra_info("socket").fileno()  # what comes over TLS can only be read as it comes

    def ask(self, request: bytes) -> asyncio.Future[Answer]:
        """Send `request`; the future holds the answer once its head is here."""
        self.used += 1
        self.touched = self._complete = self._framed = self._keep = self._begun = False
        self._working = True
        self._content_type = b""
        self._parser = httptools.HttpResponseParser(self)
        loop = asyncio.get_running_loop()
        self._head = loop.create_future()
        self._heard, self._silent = loop.time(), True
        self.transport.write(request)
        return self._head

    def abort(self) -> None:
        """Close at once, whatever is on its way."""
        self._head = self._answer = None
        self._close()

    def pause(self, answer: Answer) -> None:
        if answer is self._answer and not self._paused and not self.closed:
            if self._beat:
                self._move(0.0)
            self._paused = True
            self.transport.pause_reading()

    def resume(self, answer: Answer) -> None:
        if answer is self._answer and self._paused and not self.closed:
            self._paused = False
            self.transport.resume_reading()

    def rest(self, answer: Answer, seconds: float) -> None:
        if seconds == self._beat or answer is not self._answer or self._paused or self.closed or self._bare < 0:
            return
        if not self._beat:
            self.transport.pause_reading()
        self._move(seconds)

    def pull(self) -> None:
        """Read what came since the last beat."""
        try:
            data = os.read(self._bare, PIECE)
        except BlockingIOError:
            self._missed += 1
            if self._missed >= MISSES:
                self._wake()
            return
        except OSError as error:
            self._break(EngineDied(model=self._pool.model, how=str(error)))
            return
        self._missed = 0
        if data:
            self.data_received(data)
        else:
            self._wake()  # the transport will see the end as well, and tell

    def _move(self, seconds: float) -> None:
        self._pool.beats.move(self, self._beat, seconds)
        self._beat, self._missed = seconds, 0

    def _wake(self) -> None:
        if self._beat:
            self._move(0.0)
            if not self.closed:
                self.transport.resume_reading()

    # the clock

    def listen(self, now: float) -> None:
        """Give the engine up if it has said nothing for too long. Called now and then while a request is at work."""
        if not self._silent or self._paused:
            self._heard, self._silent = now, True
            return
        limits = self._pool.silence
        limit = limits.between if self._begun else limits.first
        if limit and now - self._heard > limit:
            self._break(EngineSilent(model=self._pool.model, seconds=f"{limit:g}"))

    # asyncio's side

    def data_received(self, data: bytes) -> None:
        self.touched = True
        self._silent = False
        if not self._working:
            self.abort()
            return
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            self._break(EngineProtocol(model=self._pool.model, detail=str(error)))
            return
        if self._pieces and self._answer is not None:
            pieces, self._pieces = self._pieces, []
            self._begun = True
            self._answer.feed(pieces)
        if self._complete and not self.closed:  # it is, where whoever was fed has given up
            self._finish(self._keep)

    def eof_received(self) -> None:
        if self._answer is not None and not self._framed:
            self._finish(reusable=False)

    def connection_lost(self, exc: Exception | None) -> None:
        self._break(EngineDied(model=self._pool.model, how=str(exc) if exc else "connection closed"))

    # the parser's side

    def on_header(self, name: bytes, value: bytes) -> None:
        name = name.lower()
        if name == b"content-type":
            self._content_type = value
        elif name in FRAMING:
            self._framed = True

    def on_headers_complete(self) -> None:
        status = self._parser.get_status_code()
        if status >= 200 and self._head is not None:
            self._answer = Answer(self, status, self._content_type)
            head, self._head = self._head, None
            if not head.done():
                head.set_result(self._answer)

    def on_body(self, body: bytes) -> None:
        self._pieces.append(body)

    def on_message_complete(self) -> None:
        self._complete = self._answer is not None
        self._keep = self._parser.should_keep_alive()

    # the end of a request

    def _finish(self, reusable: bool) -> None:
        answer, self._answer = self._answer, None
        self._wake()
        if self._paused:
            self._paused = False
            self.transport.resume_reading()
        if reusable:
            self._working = False
            self._pool.release(self)
        else:
            self._close()
        if answer is not None:
            answer.complete()

    def _break(self, error: PenjingError) -> None:
        head, answer, self._head, self._answer = self._head, self._answer, None, None
        self._close()
        if head is not None and not head.done():
            head.set_exception(error)
        if answer is not None:
            answer.broken(error)

    def _close(self) -> None:
        self.closed = True
        self._wake()
        self._bare = -1
        self.transport.abort()
        if self._working:
            self._working = False
            self._pool.release(self)
