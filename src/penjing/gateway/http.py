"""HTTP/1.1 as a server: connections in, one `Reply` for each request out.

An asyncio protocol over httptools (Node's llhttp) instead of a web framework: a request costs a tenth of the CPU
time, and an engine's bytes can go from socket to socket without a task in between (docs/decisions.md has the
figures). Requests of one connection are answered one after the other, pipelined ones wait.

Does not know: routes, JSON, engines. Not covered: HTTP/2 (a reverse proxy's work). What becomes a
WebSocket is handed to `websocket`.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Container, Coroutine
from email.utils import formatdate
from typing import TYPE_CHECKING, Any, cast

import httptools

from penjing.gateway.options import Limits
from penjing.gateway.reply import Incoming, Reply

if TYPE_CHECKING:
    from penjing.gateway.websocket import SocketConnection

CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
WRITE_HIGH = 64 * 1024
UPGRADE = (b"upgrade", b"connection", b"http2-settings")
PIPELINE = 16
SWEEP_SECONDS = 1.0
LINGER_SECONDS = 2.0

Handler = Callable[[Incoming, Reply], Coroutine[Any, Any, None]]
Refusal = Callable[[int, str], tuple[bytes, bytes]]
"""Status and what was wrong to (content type, body): protocol errors in the shape of the application's own."""


class Connection(asyncio.Protocol):
    """One client's connection; also the callbacks of its parser."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.transport = cast(asyncio.Transport, None)
        self.peer = ""
        self.head_only = False
        self.write_paused = False
        self.deadline = 0.0
        self._parser = httptools.HttpRequestParser(self)
        self._waiting: deque[tuple[Incoming, bool, bool]] = deque()
        self._task: asyncio.Task[None] | None = None
        self._reply: Reply | None = None
        self._room: asyncio.Future[None] | None = None
        self._refused = False
        self._reset()

    def _reset(self) -> None:
        self._url = b""
        self._headers: dict[bytes, bytes] = {}
        self._body: list[bytes] = []
        self._body_size = 0
        self._head_size = 0  # bytes since the last of a body: of a head, of chunk framing, of trailers
        self._in_body = False
        self._upgrading = False
        self._hosts = 0

    # asyncio's side

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self.transport.set_write_buffer_limits(high=WRITE_HIGH)
        name = transport.get_extra_info("peername")
        self.peer = name[0] if isinstance(name, tuple) else ""
        self.deadline = self.server.now() + self.server.limits.head_seconds
        self.server.connections.add(self)
        if len(self.server.connections) > self.server.limits.connections:
            self.refuse(503, "Too many connections.")

    def connection_lost(self, exc: Exception | None) -> None:
        self.server.connections.discard(self)
        self._waiting.clear()
        if self._task is not None:
            self._task.cancel()
        self.resume_writing()
        self.server.closed()

    def data_received(self, data: bytes) -> None:
        if self._refused:
            return
        self._head_size += len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            self._upgrade(data[upgrade.args[0] :])
        except httptools.HttpParserError as error:
            self.refuse(400, f"The request is not valid HTTP/1.1: {error}")
        if self._in_body:
            self.deadline = self.server.now() + self.server.limits.body_seconds
        if self._head_size > self.server.limits.head:
            self.refuse(431, f"The request's head is larger than {self.server.limits.head} bytes.")

    def pause_writing(self) -> None:
        self.write_paused = True
        self.deadline = self.server.now() + self.server.limits.stall_seconds
        if self._reply is not None and self._reply.flow is not None:
            self._reply.flow.pause()

    def resume_writing(self) -> None:
        self.write_paused = False
        if not self.busy:
            self.deadline = self.server.now() + self.server.limits.idle_seconds
        if self._reply is not None and self._reply.flow is not None:
            self._reply.flow.resume()
        if self._room is not None and not self._room.done():
            self._room.set_result(None)

    async def drained(self) -> None:
        while self.write_paused and not self.transport.is_closing():
            self._room = asyncio.get_running_loop().create_future()
            await self._room

    # the parser's side

    def on_url(self, url: bytes) -> None:
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._in_body:  # a trailer: it must not change what the head said (RFC 9110, 6.5.1)
            return
        name = name.lower()
        self._hosts += name == b"host"
        self._headers[name] = value

    def on_headers_complete(self) -> None:
        self._in_body = True
        self._upgrading = self._parser.should_upgrade()
        length = self._headers.get(b"content-length", b"")
        if self._hosts > 1 or (not self._hosts and self._parser.get_http_version() == "1.1"):
            self.refuse(400, "A request of HTTP/1.1 names its host, once.")  # RFC 9112, 3.2
        elif length and int(length) > self.server.limits.body:
            self._too_large()
        elif self._headers.get(b"expect", b"").lower() == b"100-continue" and not (self._refused or self.busy):
            self.transport.write(CONTINUE)  # while busy it would land in the answer that is being written

    def on_body(self, body: bytes) -> None:
        self._body_size += len(body)
        self._head_size = 0
        if self._body_size > self.server.limits.body:
            self._too_large()
        elif not self._refused:
            self._body.append(body)

    def on_message_complete(self) -> None:
        if self._refused or self._upgrading:
            return
        if self._url.startswith(b"/"):
            path, _, query = self._url.partition(b"?")
        else:  # as proxies write it, with scheme and host
            target = httptools.parse_url(self._url)
            path, query = target.path or b"/", target.query or b""
        body = self._body[0] if len(self._body) == 1 else b"".join(self._body)
        incoming = Incoming(
            self._parser.get_method().decode("latin-1"),
            path.decode("utf-8", "replace"),
            query.decode("utf-8", "replace"),
            self._headers,
            body,
            self.peer,
        )
        keep = self._parser.should_keep_alive()
        chunked = self._parser.get_http_version() != "1.0"
        self._reset()
        self._waiting.append((incoming, keep, chunked))
        if self._task is None:
            self._next()
        elif len(self._waiting) > PIPELINE or self._waiting_bytes() > self.server.limits.body:
            self.refuse(503, "Too many pipelined requests.")

    def _waiting_bytes(self) -> int:
        return sum(len(incoming.body) for incoming, _, _ in self._waiting)

    # answering

    def _next(self) -> None:
        if not self._waiting:
            if not self.write_paused:
                self.deadline = self.server.now() + self.server.limits.idle_seconds
            if self.server.draining:
                self.part(self.server.grace)
            return
        incoming, keep, chunked = self._waiting.popleft()
        self.head_only = incoming.method == "HEAD"
        self._reply = Reply(self, keep, chunked)
        self._task = asyncio.get_running_loop().create_task(self.server.handler(incoming, self._reply))
        self._task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        reply, self._task, self._reply = self._reply, None, None
        if not task.cancelled() and task.exception() is not None:
            self.server.broken(cast(BaseException, task.exception()))
        if reply is not None and not reply.ended:
            self.transport.abort()
        elif not self.transport.is_closing():
            self._next()

    @property
    def draining(self) -> bool:
        """Whether the server takes no more requests."""
        return self.server.draining

    @property
    def date(self) -> bytes:
        """The time as answers tell it."""
        return self.server.date

    @property
    def busy(self) -> bool:
        """Whether a request is being answered."""
        return self._task is not None

    def _upgrade(self, rest: bytes) -> None:
        path = self._url.partition(b"?")[0].decode("utf-8", "replace")
        key = self._headers.get(b"sec-websocket-key")
        wanted = self._headers.get(b"upgrade", b"").lower() == b"websocket"
        if wanted and key and path in self.server.sockets and not self.busy:
            self._become_socket(path, key, rest)
        else:
            self._decline_upgrade(rest)

    def _become_socket(self, path: str, key: bytes, rest: bytes) -> None:
        """From now on the connection is a WebSocket's."""
        from penjing.gateway.websocket import SocketConnection, accepted

        query = self._url.partition(b"?")[2].decode("utf-8", "replace")
        opening = Incoming("GET", path, query, self._headers, b"", self.peer)
        socket = SocketConnection(self.server, self.transport, opening)
        self.server.connections.discard(self)
        self.server.connections.add(socket)
        self.transport.set_protocol(socket)
        self.transport.write(accepted(key))
        if rest:
            socket.data_received(rest)

    def _decline_upgrade(self, rest: bytes) -> None:
        # Java's client asks for HTTP/2 with its first request and sends the body as well. The parser stops there;
        # a new one reads the request as if it had not asked.
        method = self._parser.get_method()
        if method == b"CONNECT":
            self.refuse(405, "CONNECT is not supported.")
            return
        lines = [b"%b: %b\r\n" % each for each in self._headers.items() if each[0] not in UPGRADE]
        head = b"%b %b HTTP/1.1\r\n%b\r\n" % (method, self._url, b"".join(lines))
        self._reset()
        self._parser = httptools.HttpRequestParser(self)
        self.data_received(head + rest)

    def _too_large(self) -> None:
        self.refuse(413, f"The body is larger than {self.server.limits.body} bytes.")

    def refuse(self, status: int, detail: str) -> None:
        """Answer a request that never became one, and close."""
        if self._refused or self.transport.is_closing():
            return
        self._refused = True
        if self._task is None:
            content_type, body = self.server.refusal(status, detail)
            Reply(self, keep=False, chunked=False).send(status, content_type, body)
        else:
            self.transport.abort()

    def hang_up(self) -> None:
        """Close once everything is written. A client that is still sending gets a moment to read why: closing with
        unread bytes would reset the connection under the answer."""
        if self.transport.is_closing():
            return
        if self._refused and self.transport.can_write_eof():
            self.deadline = self.server.now() + LINGER_SECONDS
            self.transport.write_eof()
        else:
            self.deadline = self.server.now() + self.server.limits.stall_seconds
            self.transport.close()

    def part(self, grace: float) -> None:
        """Nothing is being answered, and the server takes no more requests: close, where there is no `grace` at once. A
        request of which something has arrived is still answered then."""
        if not grace:
            self.transport.close()
        elif not (self._head_size or self._in_body):
            self.deadline = min(self.deadline, self.server.now() + grace)

    def expire(self, now: float) -> None:
        """Close if the client kept us waiting too long."""
        if now < self.deadline or (self.busy and not self.write_paused):
            return
        if self._refused or self.write_paused or self.transport.is_closing():
            self.transport.abort()
        elif self._head_size or self._in_body:
            self.refuse(408, "The request did not arrive in time.")
        else:
            self.hang_up()


class Server:
    """All connections: limits, time-outs and the drain."""

    def __init__(
        self,
        handler: Handler,
        refusal: Refusal,
        broken: Callable[[BaseException], None],
        limits: Limits,
        sockets: Container[str] = (),
    ) -> None:
        self.handler = handler
        self.refusal = refusal
        self.broken = broken
        self.limits = limits
        self.sockets = sockets
        """Paths that are also WebSockets."""
        self.connections: set[Connection | SocketConnection] = set()
        self.draining = False
        self.grace = 0.0
        self.date = _date()
        self._loop = asyncio.get_running_loop()
        self._empty: asyncio.Future[None] | None = None
        self._sweep: asyncio.TimerHandle | None = self._loop.call_later(SWEEP_SECONDS, self._expire)

    def now(self) -> float:
        return self._loop.time()

    def connection(self) -> Connection:
        """The protocol factory for `create_server`."""
        return Connection(self)

    def closed(self) -> None:
        """A connection is gone."""
        if self._empty is not None and not self.connections and not self._empty.done():
            self._empty.set_result(None)

    def _expire(self) -> None:
        self.date = _date()
        now = self.now()
        for connection in [each for each in self.connections if now >= each.deadline]:
            connection.expire(now)
        self._sweep = self._loop.call_later(SWEEP_SECONDS, self._expire)

    async def drain(self, seconds: float) -> int:
        """Let running answers finish for up to `seconds`, then cut; returns how many were cut."""
        await self._emptied(seconds, 0.0)
        return self.cut()

    async def part(self, grace: float) -> None:
        """As `drain`, without a limit: clients are told that their connections end, and those at rest are closed after
        `grace` seconds only. Taking `draining` back makes it take requests again."""
        await self._emptied(None, grace)

    async def _emptied(self, seconds: float | None, grace: float) -> None:
        self.draining, self.grace = True, grace
        for connection in list(self.connections):
            if not connection.busy:
                connection.part(grace)
        if self.connections:
            self._empty = self._loop.create_future()
            await asyncio.wait([self._empty], timeout=seconds)

    def cut(self) -> int:
        """Break every connection at once; returns how many there were."""
        if self._sweep is not None:
            self._sweep.cancel()
        left = list(self.connections)
        for connection in left:
            connection.transport.abort()
        return len(left)


def _date() -> bytes:
    return formatdate(usegmt=True).encode()
