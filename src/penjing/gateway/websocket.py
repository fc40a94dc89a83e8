"""WebSocket (RFC 6455) for dialects whose streams go over one: each message is a request to the path of the handshake,
each line of the answer is a message.

The frames are wsproto's work. Does not know: what is in the messages.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
from collections import deque
from typing import TYPE_CHECKING

from wsproto.connection import Connection as Frames
from wsproto.connection import ConnectionType
from wsproto.events import BytesMessage, CloseConnection, Ping, TextMessage
from wsproto.frame_protocol import CloseReason
from wsproto.utilities import ProtocolError

from penjing.gateway.reply import Headers, Incoming, Reply

if TYPE_CHECKING:
    from penjing.gateway.http import Server

GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
"""RFC 6455, 1.3."""
QUEUED = 16
"""Messages that wait while one is answered."""
OK = 200


def accepted(key: bytes) -> bytes:
    """The head that answers a handshake with this `Sec-WebSocket-Key`."""
    proof = base64.b64encode(hashlib.sha1(key + GUID, usedforsecurity=False).digest())
    lines = (b"HTTP/1.1 101 Switching Protocols", b"Upgrade: websocket", b"Connection: Upgrade")
    return b"\r\n".join((*lines, b"Sec-WebSocket-Accept: " + proof, b"", b""))


class SocketConnection(asyncio.Protocol):
    """A connection after its handshake; `opening` is the request that asked for it."""

    head_only = False
    date = b""

    def __init__(self, server: Server, transport: asyncio.Transport, opening: Incoming) -> None:
        self.server = server
        self.transport = transport
        self.write_paused = False
        self.deadline = server.now() + server.limits.idle_seconds
        self._opening = opening
        self._frames = Frames(ConnectionType.SERVER)
        self._message: list[bytes] = []
        self._size = 0
        self._waiting: deque[bytes] = deque()
        self._task: asyncio.Task[None] | None = None
        self._reply: SocketReply | None = None
        self._room: asyncio.Future[None] | None = None

    @property
    def busy(self) -> bool:
        """Whether a message is being answered."""
        return self._task is not None

    @property
    def draining(self) -> bool:
        return self.server.draining

    # asyncio's side

    def data_received(self, data: bytes) -> None:
        try:
            self._frames.receive_data(data)
            for event in self._frames.events():
                self._take(event)
        except ProtocolError as error:
            self.close(CloseReason.PROTOCOL_ERROR, str(error))

    def connection_lost(self, exc: Exception | None) -> None:
        self.server.connections.discard(self)
        self._waiting.clear()
        if self._task is not None:
            self._task.cancel()
        self.resume_writing()
        self.server.closed()

    def pause_writing(self) -> None:
        self.write_paused = True
        self.deadline = self.server.now() + self.server.limits.stall_seconds
        if self._reply is not None and self._reply.flow is not None:
            self._reply.flow.pause()

    def resume_writing(self) -> None:
        self.write_paused = False
        if self._reply is not None and self._reply.flow is not None:
            self._reply.flow.resume()
        if self._room is not None and not self._room.done():
            self._room.set_result(None)

    async def drained(self) -> None:
        while self.write_paused and not self.transport.is_closing():
            self._room = asyncio.get_running_loop().create_future()
            await self._room

    # messages

    def _take(self, event: object) -> None:
        if isinstance(event, Ping):
            self.transport.write(self._frames.send(event.response()))
        elif isinstance(event, CloseConnection):
            self.transport.write(self._frames.send(event.response()))
            self.transport.close()
        elif isinstance(event, (TextMessage, BytesMessage)):
            data = event.data.encode() if isinstance(event, TextMessage) else bytes(event.data)
            self._message.append(data)
            self._size += len(data)
            if self._size > self.server.limits.body:
                self.close(CloseReason.MESSAGE_TOO_BIG, f"more than {self.server.limits.body} bytes")
            elif event.message_finished:
                self._waiting.append(b"".join(self._message))
                self._message, self._size = [], 0
                self._next()

    def _next(self) -> None:
        if len(self._waiting) > QUEUED:
            self.close(CloseReason.POLICY_VIOLATION, "too many messages at once")
        if self._task is not None or not self._waiting or self.transport.is_closing():
            return
        opening = self._opening
        message = self._waiting.popleft()
        incoming = Incoming("POST", opening.path, opening.query, opening.headers, message, opening.peer)
        self._reply = SocketReply(self)
        self._task = asyncio.get_running_loop().create_task(self.server.handler(incoming, self._reply))
        self._task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        reply, self._task, self._reply = self._reply, None, None
        error = None if task.cancelled() else task.exception()
        if error is not None:
            self.server.broken(error)
        if reply is not None and not reply.ended:
            self.transport.abort()
        elif self.server.draining:
            self.part(self.server.grace)
        else:
            self.deadline = self.server.now() + self.server.limits.idle_seconds
            self._next()

    def say(self, lines: bytes) -> None:
        """Each line as a message."""
        texts = lines.decode("utf-8", "replace").split("\n")
        frames = b"".join(self._frames.send(TextMessage(text)) for text in texts if text)
        if frames and not self.transport.is_closing():
            self.transport.write(frames)

    def close(self, code: CloseReason, reason: str = "") -> None:
        """Say why, and close once everything is written."""
        if not self.transport.is_closing():
            self.transport.write(self._frames.send(CloseConnection(code, reason[:100])))
            self.transport.close()

    def hang_up(self) -> None:
        """Nothing: the next message may come."""

    def part(self, grace: float) -> None:
        """Nothing is being answered, and the server takes no more: a WebSocket says so before it closes."""
        self.close(CloseReason.GOING_AWAY, "the server stops")

    def expire(self, now: float) -> None:
        """Close if the client kept us waiting too long."""
        if self.write_paused or self.transport.is_closing():
            self.transport.abort()
        elif not self.busy:
            self.close(CloseReason.NORMAL_CLOSURE, "nothing was asked for a while")


class SocketReply(Reply):
    """The answer to one message. There is no head: a status other than 200 is told by what the body says."""

    __slots__ = ("_socket",)

    def __init__(self, socket: SocketConnection) -> None:
        super().__init__(socket, keep=True, chunked=False)
        self._socket = socket

    def send(self, status: int, content_type: bytes, body: bytes, headers: Headers = ()) -> None:
        self.started = self.ended = True
        self.status = status
        self._socket.say(body)
        if status != OK:
            self._socket.close(CloseReason.NORMAL_CLOSURE)

    def begin(self, status: int, content_type: bytes, headers: Headers = (), first: bytes = b"") -> None:
        self.started = True
        self.status = status
        self._socket.say(first)

    def write(self, data: bytes) -> None:
        self._socket.say(data)

    def end(self, last: bytes = b"") -> None:
        self.ended = True
        self._socket.say(last)
