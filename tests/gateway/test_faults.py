"""Engines that misbehave, seen by a client of the whole gateway: every answer is well-formed, and nothing leaks."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from gateway.running import Running, Serving, until, user
from penjing.engines.engine import Address, Capabilities, Progress
from penjing.engines.never import never
from penjing.gateway.options import GatewayOptions
from penjing.gateway.silence import Silence

Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
EVENTS = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
CUT = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n"
TOKEN = b'data: {"choices":[{"index":0,"delta":{"content":"hi"},"finish_reason":null}]}\n\n'
LAST = b'data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n'
END = b"0\r\n\r\n"
READY = Progress(1.0, "ready")
ABLE = Capabilities("raw", slots=4)
QUICK = GatewayOptions(silence={"raw": Silence(first=0.2, between=0.2)})
BETWEEN = GatewayOptions(silence={"raw": Silence(first=60, between=0.2)})


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


def whole(body: bytes, kind: bytes = b"application/json") -> bytes:
    head = b"HTTP/1.1 200 OK\r\nContent-Type: %b\r\nContent-Length: %d\r\n\r\n" % (kind, len(body))
    return head + body


@dataclass
class Raw:
    """An engine that says `said` to every question, then does `after`: `close`, `hang`, `reset` or `wait`
    for the next."""

    folder: Path
    said: tuple[bytes, ...]
    after: str = "wait"
    name: str = "raw"
    local: bool = True
    progress: Progress = READY
    capabilities: Capabilities = ABLE
    connections: set[asyncio.Task[None] | None] = field(default_factory=set)

    @property
    def address(self) -> Address:
        return Address("http://raw", socket=str(self.folder / "raw.sock"))

    async def start(self) -> None:
        self._server = await asyncio.start_unix_server(self._serve, self.address.socket)

    async def ready(self) -> bool:
        return True

    async def ended(self) -> str:
        await never()

    async def stop(self) -> None:
        self._server.close()
        for each in self.connections:
            if each is not None:
                each.cancel()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections.add(asyncio.current_task())
        try:
            while await self._answer(reader, writer):
                pass
        except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            self.connections.discard(asyncio.current_task())
            writer.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = await reader.readuntil(b"\r\n\r\n")
        length = next(line for line in head.split(b"\r\n") if line.startswith(b"Content-Length: "))
        await reader.readexactly(int(length[16:]))
        for piece in self.said:
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(0.02)
        if self.after == "hang":
            await reader.read()
        elif self.after == "reset":
            writer.transport.abort()
        return self.after == "wait"


@pytest.fixture
def against(serving: Serving, tmp_path: Path) -> Callable[..., Any]:
    """A gateway before an engine that says just these bytes; afterwards nothing of it is left."""

    @asynccontextmanager
    async def run(*said: bytes, after: str = "wait", options: GatewayOptions | None = None) -> AsyncIterator[Running]:
        engine = Raw(tmp_path, said, after)
        async with serving(options=options, engines={"raw": engine}) as running:
            await until(lambda: len(running.said) > 1, "ready")
            yield running
            pool = running.gateway.house.pools["raw"]
            assert (pool.active, pool.queued) == (0, 0)
            await until(lambda: running.gateway.house.observed.in_flight.value() == 0, "no request is left")
            await until(lambda: len(engine.connections) == len(pool._idle), "no connection is left")

    return run


def events(said: str) -> list[Any]:
    """The payloads of a stream, each of which must be JSON."""
    blocks = [block for block in said.split("\n\n") if block]
    return [json.loads(block.removeprefix("data: ")) for block in blocks if block != "data: [DONE]"]


async def told(running: Running) -> list[Any]:
    return events(await running.stream({"messages": [user("hi")]}))


BROKEN: dict[str, tuple[tuple[bytes, ...], str]] = {
    "an event that is not JSON": ((EVENTS, chunk(TOKEN), chunk(b"data: {]\n\n"), chunk(LAST), END), "not JSON"),
    "wrong UTF-8": ((EVENTS, chunk(TOKEN), chunk(TOKEN.replace(b"hi", b"\xff\xfe"))), "not UTF-8"),
    "half an event": ((EVENTS, chunk(TOKEN), chunk(TOKEN[:20]), END), "inside an event"),
    "no end": ((EVENTS, chunk(TOKEN), END), "before the answer does"),
    "a broken chunk": ((EVENTS, chunk(TOKEN), b"zz\r\n"), "not HTTP"),
}


@pytest.mark.parametrize("case", BROKEN)
async def test_a_stream_that_breaks_ends_with_an_error_event(against: Any, case: str) -> None:
    said, detail = BROKEN[case]
    async with against(*said) as running:
        first, error = await told(running)
        assert first["choices"][0]["delta"]["content"] == "hi"
        assert error["error"]["code"] == "engine_protocol"
        assert detail in error["error"]["message"]


@pytest.mark.parametrize("after", ["close", "reset"])
@pytest.mark.parametrize("head", [EVENTS, CUT])
async def test_a_connection_that_breaks_in_mid_answer(against: Any, after: str, head: bytes) -> None:
    said = (head, chunk(TOKEN)) if head is EVENTS else (head, TOKEN)
    async with against(*said, after=after) as running:
        _, error = await told(running)
        assert error["error"]["code"] in ("engine_died", "engine_protocol")


async def test_a_stream_that_ends_with_its_connection(against: Any) -> None:
    async with against(CUT, TOKEN, LAST, after="close") as running:
        assert [event["choices"][0]["finish_reason"] for event in await told(running)] == [None, "stop"]


async def test_an_engine_that_hangs_between_tokens(against: Any) -> None:
    async with against(EVENTS, chunk(TOKEN), after="hang", options=BETWEEN) as running:
        first, error = await told(running)
        assert first["choices"][0]["delta"]["content"] == "hi"
        assert error["error"]["code"] == "engine_silent"


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("said", [(), (EVENTS,)])
async def test_an_engine_that_hangs_before_its_first_token(against: Any, said: Any, stream: bool) -> None:
    async with against(*said, after="hang", options=QUICK) as running:
        status, error = await running.chat(stream=stream)
        assert status == 504 or (status == 502 and said and not stream)
        assert error["error"]["code"] in ("engine_silent", "engine_protocol")


@pytest.mark.parametrize(
    "said",
    [
        whole(b"{"),
        whole(b"nonsense"),
        whole(b'{"choices": "\xff"}'),
        whole(b""),
        whole(TOKEN + LAST, b"text/event-stream"),
        b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 99\r\n\r\n{",
    ],
)
async def test_a_whole_answer_that_is_none(against: Any, said: bytes) -> None:
    async with against(said, after="close") as running:
        status, error = await running.chat()
        assert status == 502
        assert error["error"]["code"] in ("engine_error", "engine_protocol", "engine_died")


async def test_an_object_where_a_stream_was_asked_for(against: Any) -> None:
    async with against(whole(b'{"choices": []}')) as running:
        status, error = await running.chat(stream=True)
        assert (status, error["error"]["code"]) == (502, "engine_protocol")


async def test_a_thousand_clients_that_come_and_go(against: Any) -> None:
    body = json.dumps({"messages": [user("hi")], "stream": True}).encode()
    head = b"POST /v1/chat/completions HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % len(body)
    async with against(EVENTS, chunk(TOKEN), after="hang") as running:
        for batch in range(10):
            opened = await asyncio.gather(*(running.connect() for _ in range(100)))
            for number, (_, writer) in enumerate(opened):
                writer.write((head + body)[: (batch * 100 + number) % (len(head + body) + 20)])
            for _, writer in opened:
                writer.transport.abort()
        await until(lambda: running.gateway.house.observed.in_flight.value() == 0, "all are gone")
        pool = running.gateway.house.pools.get("raw")
        assert pool is not None
        await until(lambda: (pool.active, pool.queued) == (0, 0), "no slot is held")
