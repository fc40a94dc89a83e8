"""One HTTP request and its answer, as handlers see them.

Does not know: how a request was read, routes, JSON.
"""

from __future__ import annotations

import asyncio
from http import HTTPStatus
from typing import Protocol

import msgspec

REASONS = {status.value: f"{status.value} {status.phrase}".encode() for status in HTTPStatus}

WITHOUT_LENGTH = (HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED)
"""The first must not tell one, the second only that of what was not sent (RFC 9110, 8.6)."""

Headers = tuple[tuple[bytes, bytes], ...]


class Incoming(msgspec.Struct, frozen=True):
    """One request. Header names are lower case; of repeated headers the last counts. Keys and content are not shown.
    (A msgspec structure: one is made for every request, and a frozen dataclass takes five times as long.)"""

    method: str
    path: str
    query: str = ""
    headers: dict[bytes, bytes] = msgspec.field(default_factory=dict)
    body: bytes = b""
    peer: str = ""

    def __repr__(self) -> str:
        return f"Incoming(method={self.method!r}, path={self.path!r}, query={self.query!r}, peer={self.peer!r})"


class Flow(Protocol):
    """Whoever feeds a reply: told when the client reads too slowly, and when it reads again."""

    def pause(self) -> None: ...

    def resume(self) -> None: ...


class Line(Protocol):
    """The connection that a reply goes out on."""

    transport: asyncio.Transport
    head_only: bool
    write_paused: bool

    @property
    def draining(self) -> bool: ...

    @property
    def date(self) -> bytes: ...

    def hang_up(self) -> None: ...

    async def drained(self) -> None: ...


class Reply:
    """The answer to one request: `send` it whole, or `begin`, `write` and `end` it as a stream."""

    __slots__ = ("_chunked", "_line", "ended", "extra", "flow", "keep", "started", "status")

    def __init__(self, line: Line, keep: bool, chunked: bool) -> None:
        self._line = line
        self.keep = keep
        self._chunked = chunked
        self.flow: Flow | None = None
        self.extra: Headers = ()
        self.started = False
        self.ended = False
        self.status = 0

    def _head(self, status: int, content_type: bytes, headers: Headers) -> list[bytes]:
        self.started = True
        self.status = status
        self.keep = self.keep and not self._line.draining
        lines = [b"HTTP/1.1 ", REASONS[status], b"\r\nDate: ", self._line.date, b"\r\nContent-Type: ", content_type]
        for name, value in (*headers, *self.extra):
            lines += (b"\r\n", name, b": ", value)
        if not self.keep:
            lines.append(b"\r\nConnection: close")
        return lines

    def send(self, status: int, content_type: bytes, body: bytes, headers: Headers = ()) -> None:
        """The whole answer at once."""
        lines = self._head(status, content_type, headers)
        if status not in WITHOUT_LENGTH:
            lines.append(b"\r\nContent-Length: %d" % len(body))
        lines += (b"\r\n\r\n", b"" if self._line.head_only else body)
        self._put(b"".join(lines))
        self._finish()

    def begin(self, status: int, content_type: bytes, headers: Headers = (), first: bytes = b"") -> None:
        """Start a stream; `first` goes out with the head in one packet."""
        if not self._chunked:
            self.keep = False
        lines = self._head(status, content_type, headers)
        if self._chunked:
            lines.append(b"\r\nTransfer-Encoding: chunked\r\n\r\n")
            if first:
                lines += (b"%x\r\n" % len(first), first, b"\r\n")
        else:
            lines += (b"\r\n\r\n", first)
        self._put(b"".join(lines))

    def write(self, data: bytes) -> None:
        """More of the stream; `data` is not empty."""
        self._put(b"%x\r\n%b\r\n" % (len(data), data) if self._chunked else data)

    def end(self, last: bytes = b"") -> None:
        """The stream is complete; `last` goes out with its end in one packet."""
        if self._chunked:
            tail = b"%x\r\n%b\r\n0\r\n\r\n" % (len(last), last) if last else b"0\r\n\r\n"
            self._put(tail)
        elif last:
            self._put(last)
        self._finish()

    def cut(self) -> None:
        """Break the connection: the answer cannot be completed and the client must be able to tell."""
        self.ended = True
        self._line.transport.abort()

    async def drained(self) -> None:
        """Wait until the client has room for more."""
        await self._line.drained()

    def _put(self, data: bytes) -> None:
        # A connection that was reset takes nothing from then on, some time before we are told: uvloop raises at a write
        # in between, asyncio warns.
        if not self._line.transport.is_closing():
            self._line.transport.write(data)

    def _finish(self) -> None:
        self.ended = True
        if not self.keep:
            self._line.hang_up()
