"""HTTP/1.1 as a client: from the gateway to an engine's address.

Keep-alive links over a Unix socket or TCP, a bounded number at work at once; the rest wait in line, first come first
served. Foreign errors become penjing's here.

Does not know: dialects, clients.
"""

from __future__ import annotations

import asyncio
import ssl
from collections import deque
from typing import cast
from urllib.parse import urlsplit

import httptools

from penjing.engines.engine import Address
from penjing.errors import EngineDied, EngineError, PenjingError
from penjing.gateway.answer import Answer

IDLE_SECONDS = 4.0
"""A link that rested longer is not used again: llama.cpp's server closes after 5 s."""
REQUESTS_PER_LINK = 90
"""llama.cpp's server closes a link after 100 requests."""
STALE_SECONDS = 0.25
"""A reused link that breaks so soon, without a byte, was already closed by the other side: ask again once."""
CONNECT_SECONDS = 10.0
FRAMING = (b"content-length", b"transfer-encoding")


class EngineUnreachable(EngineError):
    """Facts: `model`, `detail`."""

    template = "The engine of {model} cannot be reached: {detail}"
    hint = "It is being started again; try in a second. /health says how it is."
    code = "engine_unreachable"
    status = 503


class EngineProtocol(EngineError):
    """The engine's answer is not valid HTTP. Facts: `model`, `detail`."""

    template = "The engine of {model} sent something that is not HTTP: {detail}"
    code = "engine_protocol"


class Link(asyncio.Protocol):
    """One connection to an engine; also the callbacks of its parser."""

    def __init__(self, pool: Pool) -> None:
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

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)

    def ask(self, request: bytes) -> asyncio.Future[Answer]:
        """Send `request`; the future holds the answer once its head is here."""
        self.used += 1
        self.touched = self._complete = self._framed = self._keep = False
        self._working = True
        self._content_type = b""
        self._parser = httptools.HttpResponseParser(self)
        self._head = asyncio.get_running_loop().create_future()
        self.transport.write(request)
        return self._head

    def abort(self) -> None:
        """Close at once, whatever is on its way."""
        self._head = self._answer = None
        self._close()

    def pause(self, answer: Answer) -> None:
        if answer is self._answer and not self._paused and not self.closed:
            self._paused = True
            self.transport.pause_reading()

    def resume(self, answer: Answer) -> None:
        if answer is self._answer and self._paused and not self.closed:
            self._paused = False
            self.transport.resume_reading()

    # asyncio's side

    def data_received(self, data: bytes) -> None:
        self.touched = True
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
            self._answer.feed(pieces)
        if self._complete:
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
        self.transport.abort()
        if self._working:
            self._working = False
            self._pool.release(self)


class Pool:
    """The links to one address. At most `limit` requests are at work at once, at most `idle` links rest."""

    def __init__(self, model: str, address: Address, limit: int, idle: int) -> None:
        self.model = model
        self.address = address
        self.active = 0
        self._limit = limit
        self._idle_limit = idle
        self._idle: list[Link] = []
        self._line: deque[asyncio.Future[None]] = deque()
        parts = urlsplit(address.url)
        self._tls = ssl.create_default_context() if parts.scheme == "https" and not address.socket else None
        self._host = parts.hostname or "localhost"
        self._port = parts.port or (443 if self._tls else 80)
        self._path = parts.path.rstrip("/")
        host = parts.netloc.rpartition("@")[2] or self._host  # an IPv6 address in its brackets
        self._lines = "".join(f"\r\n{name}: {value}" for name, value in {"Host": host, **address.headers}.items())

    @property
    def queued(self) -> int:
        """Requests waiting for their turn."""
        return sum(not turn.done() for turn in self._line)

    async def ask(self, method: str, path: str, body: bytes = b"") -> Answer:
        """Send a request; returns once the head of the answer is here. Raises EngineUnreachable, EngineDied,
        EngineProtocol. Cancelling it closes the connection, which stops the engine's work."""
        head = f"{method} {self._path}{path} HTTP/1.1{self._lines}\r\nContent-Type: application/json\r\n"
        request = b"%bContent-Length: %d\r\n\r\n%b" % (head.encode("latin-1"), len(body), body)
        await self._turn()
        link = self._rested()
        if link is not None:
            began = asyncio.get_running_loop().time()
            try:
                return await self._send(link, request)
            except EngineDied:
                if link.touched or asyncio.get_running_loop().time() - began > STALE_SECONDS:
                    raise
            await self._turn()
        return await self._send(await self._connect(), request)

    async def _send(self, link: Link, request: bytes) -> Answer:
        head = link.ask(request)
        try:
            return await head
        except asyncio.CancelledError:
            link.abort()
            raise

    async def _turn(self) -> None:
        if self.active < self._limit:
            self.active += 1
            return
        turn = asyncio.get_running_loop().create_future()
        self._line.append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self._pass_on()
            raise

    def _pass_on(self) -> None:
        # The place of a finished request goes to the next in line, so `active` stays, or is given back.
        while self._line:
            turn = self._line.popleft()
            if not turn.done():
                turn.set_result(None)
                return
        self.active -= 1

    def release(self, link: Link) -> None:
        """`link`'s request is over; the link rests if it can be used again."""
        if not link.closed:
            if link.used < REQUESTS_PER_LINK and len(self._idle) < self._idle_limit:
                link.idle_since = asyncio.get_running_loop().time()
                self._idle.append(link)
            else:
                link.closed = True
                link.transport.close()
        self._pass_on()

    def _rested(self) -> Link | None:
        oldest = asyncio.get_running_loop().time() - IDLE_SECONDS
        while self._idle:
            link = self._idle.pop()
            if not link.closed and link.idle_since > oldest:
                return link
            link.abort()
        return None

    async def _connect(self) -> Link:
        loop = asyncio.get_running_loop()
        try:
            if self.address.socket:
                opening = loop.create_unix_connection(lambda: Link(self), self.address.socket)
            else:
                opening = loop.create_connection(lambda: Link(self), self._host, self._port, ssl=self._tls)
            _, link = await asyncio.wait_for(opening, CONNECT_SECONDS)
        except (OSError, asyncio.TimeoutError) as error:
            self._pass_on()
            raise EngineUnreachable(model=self.model, detail=str(error) or "no answer") from error
        except asyncio.CancelledError:
            self._pass_on()
            raise
        return link

    def close(self) -> None:
        """Close the resting links; those at work close when their answers end."""
        self._idle_limit = 0
        while self._idle:
            self._idle.pop().abort()
