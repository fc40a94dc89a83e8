"""One question over one connection: what comes back is kept with its moment, and only looked into afterwards.

A client that read every token would take from the processor it measures. Format of the events:
https://html.spec.whatwg.org/multipage/server-sent-events.html with OpenAI's chunks as payloads.

Does not know: what is asked, how often, or what becomes of the figures.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import ssl
import time
from dataclasses import dataclass, field
from typing import Any, cast
from urllib.parse import urlsplit

import httptools
import msgspec

from penjing.engines.engine import Address
from penjing.gateway.patience import Patience, TooSlow

CONNECT_SECONDS = 10.0
LONGEST = 256 << 20
"""Bytes of one answer that are kept."""


@dataclass
class Heard:
    """One answer as it came: `pieces` of the body, each with its moment (seconds of a steady clock)."""

    asked: float = 0.0
    ended: float = 0.0
    status: int = 0
    pieces: list[tuple[float, bytes]] = field(default_factory=list)
    error: str = ""

    @property
    def body(self) -> bytes:
        """All of it."""
        return b"".join(piece for _, piece in self.pieces)


class Connection(asyncio.Protocol):
    """A keep-alive connection to `address`, which takes one question after the other."""

    def __init__(self, address: Address) -> None:
        self._address = address
        self._transport: asyncio.Transport | None = None
        self._heard: Heard | None = None
        self._over: asyncio.Future[None] | None = None
        self._size = 0

    async def ask(self, request: bytes, seconds: float) -> Heard:
        """The answer to `request`, whole or with `error` where it broke off or took longer than `seconds`. The clock
        starts when the connection is there."""
        for _ in range(2):
            used = self._transport is not None and not self._transport.is_closing()
            heard = await self._asked(request, seconds)
            if not (used and heard.error and not heard.status):
                break  # else the server had let go of the connection just then: asked again on a new one
        return heard

    async def _asked(self, request: bytes, seconds: float) -> Heard:
        heard = self._heard = Heard()
        try:
            await self._connect()
        except (OSError, TooSlow) as error:
            heard.asked = heard.ended = time.perf_counter()
            heard.error = f"cannot connect: {error}"
            return heard
        loop = asyncio.get_running_loop()
        self._size, self._keep, self._over = 0, True, loop.create_future()
        self._parser = httptools.HttpResponseParser(self)
        heard.asked = time.perf_counter()
        cast(asyncio.Transport, self._transport).write(request)
        timer = loop.call_later(seconds, self._finish, f"no end within {seconds:g} s")
        try:
            await self._over
        finally:
            timer.cancel()
            if heard.error or not heard.ended or not self._keep:
                self.close()
            self._heard = self._over = None
        return heard

    def close(self) -> None:
        """Let go of the connection; the server stops what it was writing."""
        if self._transport is not None:
            self._transport.abort()
            self._transport = None

    async def _connect(self) -> None:
        if self._transport is not None and not self._transport.is_closing():
            return
        loop, parts = asyncio.get_running_loop(), urlsplit(self._address.url)
        with Patience(self._address.url, CONNECT_SECONDS):
            if self._address.socket:
                await loop.create_unix_connection(lambda: self, self._address.socket)
            else:
                secure = ssl.create_default_context() if parts.scheme == "https" else None
                port = parts.port or (443 if secure else 80)
                await loop.create_connection(lambda: self, parts.hostname or "", port, ssl=secure)

    def _finish(self, error: str = "") -> None:
        heard, over = self._heard, self._over
        if heard is None or over is None or over.done():
            return
        heard.ended, heard.error = time.perf_counter(), error
        over.set_result(None)

    # asyncio's side

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        if self._heard is None:
            self.close()  # it speaks unasked
            return
        self._now = time.perf_counter()
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            self._finish(f"not HTTP: {error}")

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self._finish("the connection broke off")

    # the parser's side

    def on_header(self, name: bytes, value: bytes) -> None:
        if name.lower() == b"connection" and value.lower() == b"close":
            self._keep = False

    def on_headers_complete(self) -> None:
        cast(Heard, self._heard).status = self._parser.get_status_code()

    def on_body(self, body: bytes) -> None:
        self._size += len(body)
        if self._size > LONGEST:
            self._finish(f"an answer of more than {LONGEST} bytes")
        else:
            cast(Heard, self._heard).pieces.append((self._now, body))

    def on_message_complete(self) -> None:
        self._finish()


def request(address: Address, path: str, body: dict[str, Any]) -> bytes:
    """The bytes of a POST of `body` as JSON to `path` behind the address's own path."""
    parts = urlsplit(address.url)
    payload = json.dumps(body, ensure_ascii=False).encode()
    host = f"{parts.hostname}:{parts.port}" if parts.port else str(parts.hostname)
    headers = {"Host": host, "Content-Type": "application/json", "Content-Length": len(payload), **address.headers}
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return f"POST {parts.path.rstrip('/')}{path} HTTP/1.1\r\n{lines}\r\n".encode() + payload


def events(heard: Heard) -> list[tuple[float, dict[str, Any]]]:
    """The JSON events of a streamed answer, each with the moment its last byte came. What is not JSON is left out:
    an answer without its end is told by `finished`."""
    found: list[tuple[float, dict[str, Any]]] = []
    held = b""
    for moment, piece in heard.pieces:
        *lines, held = (held + piece).split(b"\n")
        for line in lines:
            name, _, value = line.partition(b":")
            if name != b"data" or value.strip() == b"[DONE]":
                continue
            with contextlib.suppress(msgspec.DecodeError, UnicodeDecodeError):
                decoded = msgspec.json.decode(value)
                if isinstance(decoded, dict):
                    found.append((moment, decoded))
    return found
