"""The HTTP server on its own: framing, limits, time-outs, slow clients."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime
from typing import Any

import pytest

from gateway.running import until
from penjing.gateway import reply as replies
from penjing.gateway.dialects.openai.errors import protocol_refusal
from penjing.gateway.http import Server
from penjing.gateway.options import Limits
from penjing.gateway.reply import Incoming, Reply

Handle = Callable[[Incoming, Reply], Awaitable[None]]
Client = tuple[asyncio.StreamReader, asyncio.StreamWriter]
QUICK = Limits(body=1000, head=2000, head_seconds=0.1, body_seconds=0.1, idle_seconds=0.1, connections=2)


@dataclass
class Listening:
    server: Server
    port: int
    seen: list[Incoming] = field(default_factory=list)
    broken: list[BaseException] = field(default_factory=list)
    open: list[asyncio.StreamWriter] = field(default_factory=list)

    async def connect(self) -> Client:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        self.open.append(writer)
        return reader, writer

    async def talk(self, request: bytes) -> bytes:
        """Everything the server says to `request` on a connection that it closes."""
        reader, writer = await self.connect()
        writer.write(request)
        said = await asyncio.wait_for(reader.read(), 60)
        writer.close()
        await writer.wait_closed()
        return said


async def echo(incoming: Incoming, reply: Reply) -> None:
    said = b"%b %b %b" % (incoming.method.encode(), incoming.path.encode(), incoming.body)
    reply.send(200, b"text/plain", said)


@asynccontextmanager
async def listening(handle: Handle = echo, limits: Limits | None = None) -> AsyncIterator[Listening]:
    broken: list[BaseException] = []
    seen: list[Incoming] = []

    async def handler(incoming: Incoming, reply: Reply) -> None:
        seen.append(incoming)
        await handle(incoming, reply)

    server = Server(handler, protocol_refusal, broken.append, limits or Limits())
    accepting = await asyncio.get_running_loop().create_server(server.connection, "127.0.0.1", 0)
    made = Listening(server, accepting.sockets[0].getsockname()[1], seen, broken)
    yield made
    accepting.close()
    server.cut()
    for writer in made.open:
        writer.transport.abort()
    await asyncio.gather(*(writer.wait_closed() for writer in made.open), return_exceptions=True)


def post(body: bytes, *headers: bytes, path: bytes = b"/x") -> bytes:
    lines = b"".join(header + b"\r\n" for header in headers)
    return b"POST %b HTTP/1.1\r\nHost: a\r\n%bContent-Length: %d\r\n\r\n%b" % (path, lines, len(body), body)


async def answer(reader: asyncio.StreamReader) -> tuple[bytes, bytes]:
    """Head and body of one answer with a length."""
    head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 60)
    length = next(int(line[15:]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length"))
    return head, await reader.readexactly(length)


async def test_a_connection_is_kept() -> None:
    async with listening() as made:
        reader, writer = await made.connect()
        for number in (b"one", b"two"):
            writer.write(post(number))
            head, body = await answer(reader)
            assert head.startswith(b"HTTP/1.1 200 OK\r\n")
            assert body == b"POST /x " + number


async def test_pipelined_requests_are_answered_in_order() -> None:
    async def slow_first(incoming: Incoming, reply: Reply) -> None:
        await asyncio.sleep(0.05 if incoming.body == b"one" else 0)
        await echo(incoming, reply)

    async with listening(slow_first) as made:
        reader, writer = await made.connect()
        writer.write(post(b"one") + post(b"two") + post(b"three"))
        bodies = [(await answer(reader))[1] for _ in range(3)]
    assert bodies == [b"POST /x one", b"POST /x two", b"POST /x three"]


async def test_a_request_in_single_bytes() -> None:
    async with listening() as made:
        reader, writer = await made.connect()
        for byte in post(b"slow", b"X-Some: thing"):
            writer.write(bytes([byte]))
            await writer.drain()
            await asyncio.sleep(0)
        assert (await answer(reader))[1] == b"POST /x slow"
    assert made.seen[0].headers[b"x-some"] == b"thing"


async def test_a_chunked_body() -> None:
    request = b"POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
    async with listening() as made:
        said = await made.talk(request + b"3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n")
    assert said.endswith(b"POST /x abcde")
    assert b"Connection: close" in said


async def test_expect_continue() -> None:
    async with listening() as made:
        reader, writer = await made.connect()
        writer.write(b"POST /x HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n")
        assert await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 60) == b"HTTP/1.1 100 Continue\r\n\r\n"
        writer.write(b"ok")
        assert (await answer(reader))[1] == b"POST /x ok"


async def test_head_has_no_body() -> None:
    async with listening() as made:
        said = await made.talk(b"HEAD /x HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
    assert b"Content-Length: 8\r\n" in said
    assert said.endswith(b"\r\n\r\n")


async def test_paths_and_queries() -> None:
    async with listening() as made:
        for target in (b"/a%20b?c=d", b"http://host/a?b", b"/"):
            await made.talk(post(b"", b"Connection: close", path=target))
    assert [(one.path, one.query) for one in made.seen] == [("/a%20b", "c=d"), ("/a", "b"), ("/", "")]


async def stream(incoming: Incoming, reply: Reply) -> None:
    reply.begin(200, b"text/event-stream", (), b"one")
    reply.write(b"two")
    reply.end(b"three")


async def test_a_stream_is_chunked() -> None:
    async with listening(stream) as made:
        reader, writer = await made.connect()
        writer.write(post(b""))
        said = await asyncio.wait_for(reader.readuntil(b"0\r\n\r\n"), 60)
        assert said.endswith(b"\r\n\r\n3\r\none\r\n3\r\ntwo\r\n5\r\nthree\r\n0\r\n\r\n")


async def test_a_stream_to_http_1_0_ends_with_the_connection() -> None:
    async with listening(stream) as made:
        said = await made.talk(b"GET /x HTTP/1.0\r\n\r\n")
    assert said.endswith(b"\r\n\r\nonetwothree")
    assert b"chunked" not in said


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        (b"nonsense\r\n\r\n", b"400"),
        (b"GET / HTTP/1.1\r\n\r\n", b"400"),
        (b"GET / HTTP/1.1\r\nHost: a\r\nHOST: b\r\n\r\n", b"400"),
        (b"GET / HTTP/1.1\r\nHost: a\r\nBad Header: x\r\n\r\n", b"400"),
        (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", b"400"),
        (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: x\r\n\r\n", b"400"),
        (b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"y" * 3000, b"431"),
        (b"GET / HTTP/1.1\r\nHost: a\r\n" + b"A: b\r\n" * 500, b"431"),
        (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1001\r\n\r\n", b"413"),
        (
            b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
            + b"fa\r\n"
            + b"z" * 250
            + b"\r\n" * 1
            + b"",
            b"",
        ),
    ],
)
async def test_what_is_no_request_is_refused(request_bytes: bytes, status: bytes) -> None:
    async with listening(limits=Limits(body=1000, head=2000, head_seconds=0.1, body_seconds=0.1)) as made:
        said = await made.talk(request_bytes)
    assert made.seen == []
    assert said.startswith(b"HTTP/1.1 " + (status or b"408"))
    assert b'"error"' in said


async def test_an_upgrade_is_declined_and_the_body_read() -> None:
    async with listening() as made:
        reader, writer = await made.connect()
        for _ in range(2):
            request = post(b"body", b"Connection: Upgrade, HTTP2-Settings", b"Upgrade: h2c", b"HTTP2-Settings: x")
            writer.write(request[:-2])
            await asyncio.sleep(0.01)
            writer.write(request[-2:])
            assert (await answer(reader))[1] == b"POST /x body"
        assert (await made.talk(b"CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n")).startswith(b"HTTP/1.1 405")
    assert len(made.seen) == 2


async def test_a_chunked_body_over_the_limit() -> None:
    request = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
    async with listening(limits=QUICK) as made:
        said = await made.talk(request + (b"fa\r\n" + b"z" * 250 + b"\r\n") * 5)
    assert said.startswith(b"HTTP/1.1 413")


async def test_time_outs() -> None:
    async with listening(limits=QUICK) as made:
        silent = await made.talk(b"")
        half_head = await made.talk(b"GET / HT")
        half_body = await made.talk(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nab")
        idle = await made.talk(post(b"x"))
    assert silent == b""
    assert half_head.startswith(b"HTTP/1.1 408")
    assert half_body.startswith(b"HTTP/1.1 408")
    assert idle.startswith(b"HTTP/1.1 200")


async def test_too_many_connections() -> None:
    async with listening(limits=QUICK) as made:
        await made.connect()
        await made.connect()
        assert (await made.talk(b"")).startswith(b"HTTP/1.1 503")


async def test_too_many_pipelined_requests_break_the_connection() -> None:
    async def never(incoming: Incoming, reply: Reply) -> None:
        await asyncio.Event().wait()

    async with listening(never) as made:
        reader, writer = await made.connect()
        writer.write(post(b"x") * 50)
        assert await asyncio.wait_for(reader.read(), 60) == b""


async def test_a_handler_that_fails_breaks_the_connection_and_is_told() -> None:
    async def fails(incoming: Incoming, reply: Reply) -> None:
        raise ValueError("ours")

    async with listening(fails) as made:
        reader, writer = await made.connect()
        writer.write(post(b"x"))
        assert await asyncio.wait_for(reader.read(), 60) == b""
        assert [str(error) for error in made.broken] == ["ours"]


async def test_a_client_that_leaves_cancels_its_handler() -> None:
    cancelled = asyncio.Event()

    async def waits(incoming: Incoming, reply: Reply) -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.set()
            raise

    async with listening(waits) as made:
        _, writer = await made.connect()
        writer.write(post(b"x") * 3)
        await until(lambda: bool(made.seen), "the request")
        writer.close()
        await asyncio.wait_for(cancelled.wait(), 60)
        await until(lambda: not made.server.connections, "nothing left")
    assert len(made.seen) == 1


async def test_a_slow_reader_is_waited_for() -> None:
    written: list[int] = []

    async def endless(incoming: Incoming, reply: Reply) -> None:
        reply.begin(200, b"text/plain")
        while True:
            reply.write(b"x" * 65536)
            written.append(65536)
            await reply.drained()
            await asyncio.sleep(0)

    async with listening(endless) as made:
        reader, writer = await made.connect()
        writer.write(post(b""))
        await reader.readuntil(b"\r\n\r\n")
        before = -1
        while before != len(written):  # stands still
            before = len(written)
            await asyncio.sleep(0.1)
        assert sum(written) < 32 << 20
        await reader.readexactly(8 << 20)
        await until(lambda: len(written) > before, "going on")


async def test_a_reader_that_never_reads_is_cut() -> None:
    cancelled = asyncio.Event()

    async def endless(incoming: Incoming, reply: Reply) -> None:
        reply.begin(200, b"text/plain")
        try:
            while True:
                reply.write(b"x" * 65536)
                await reply.drained()
                await asyncio.sleep(0)
        finally:
            cancelled.set()

    async with listening(endless, Limits(stall_seconds=0.2)) as made:
        _, writer = await made.connect()
        writer.write(post(b""))
        await asyncio.wait_for(cancelled.wait(), 60)
        await until(lambda: not made.server.connections, "nothing left")


async def test_drain_waits_then_cuts() -> None:
    release = asyncio.Event()

    async def held(incoming: Incoming, reply: Reply) -> None:
        if incoming.body == b"wait":
            await release.wait()
        elif incoming.body == b"never":
            await asyncio.Event().wait()
        await echo(incoming, reply)

    async with listening(held) as made:
        (waiting, one), (idle, _), (never, two) = [await made.connect() for _ in range(3)]
        one.write(post(b"wait"))
        two.write(post(b"never"))
        await until(lambda: len(made.seen) == 2, "both are here")
        draining = asyncio.create_task(made.server.drain(0.3))
        assert await asyncio.wait_for(idle.read(), 60) == b""
        release.set()
        head, body = await answer(waiting)
        assert body == b"POST /x wait"
        assert b"Connection: close" in head
        assert await draining == 1
        assert await asyncio.wait_for(never.read(), 60) == b""


def test_every_status_we_send_has_words() -> None:
    from penjing.errors import PenjingError

    def tree(kind: type[PenjingError]) -> list[type[PenjingError]]:
        return [kind, *(below for each in kind.__subclasses__() for below in tree(each))]

    statuses: list[Any] = [kind.status for kind in tree(PenjingError)]
    assert all(status in replies.REASONS for status in statuses)


async def test_trailers_are_no_headers_and_end_somewhere() -> None:
    chunked = b"POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n"
    async with listening(limits=QUICK) as made:
        reader, writer = await made.connect()
        writer.write(chunked + b"Authorization: Bearer late\r\nHost: b\r\n\r\n")
        assert (await answer(reader))[1] == b"POST /x ab"
        assert made.seen[0].headers == {b"host": b"a", b"transfer-encoding": b"chunked"}
        reader, writer = await made.connect()
        writer.write(chunked)
        for number in range(100):
            writer.write(b"X-%d: %b\r\n" % (number, b"y" * 50))
            await asyncio.sleep(0)
        assert b" 431 " in await asyncio.wait_for(reader.readline(), 60)


async def test_expect_continue_is_not_said_into_a_running_answer() -> None:
    async def two_parts(incoming: Incoming, reply: Reply) -> None:
        reply.begin(200, b"text/plain", (), b"one")
        await until(lambda: len(made.seen) > 0 and heard.is_set(), "the second head")
        reply.end(b"two")

    heard = asyncio.Event()
    async with listening(two_parts) as made:
        reader, writer = await made.connect()
        writer.write(post(b"") + b"POST /y HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n")
        assert (await reader.readuntil(b"one\r\n")).startswith(b"HTTP/1.1 200 ")
        heard.set()
        assert await reader.readuntil(b"0\r\n\r\n") == b"3\r\ntwo\r\n0\r\n\r\n"


async def test_bodies_that_wait_in_line_are_bounded() -> None:
    async def never(incoming: Incoming, reply: Reply) -> None:
        await asyncio.Event().wait()

    async with listening(never, Limits(body=1000)) as made:
        reader, writer = await made.connect()
        writer.write(post(b"x" * 900) * 3)
        assert await asyncio.wait_for(reader.read(), 60) == b""


async def test_a_reader_that_never_takes_the_end_is_cut() -> None:
    async def large(incoming: Incoming, reply: Reply) -> None:
        reply.send(200, b"text/plain", b"x" * (16 << 20))

    for version in (b"1.1", b"1.0"):
        async with listening(large, Limits(stall_seconds=0.1, idle_seconds=0.1, head_seconds=0.1)) as made:
            _, writer = await made.connect()
            writer.transport.pause_reading()  # type: ignore[attr-defined]
            writer.write(b"GET /x HTTP/%b\r\nHost: a\r\n\r\n" % version)
            await until(lambda: bool(made.seen), "asked")
            await until(lambda: not made.server.connections, "cut")


async def test_no_content_has_no_length() -> None:
    async def nothing(incoming: Incoming, reply: Reply) -> None:
        reply.send(204, b"text/plain", b"")

    async with listening(nothing) as made:
        reader, writer = await made.connect()
        writer.write(post(b"") * 2)
        for _ in range(2):
            head = await reader.readuntil(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 204 ")
            assert b"content-length" not in head.lower()


def test_a_request_shows_neither_key_nor_content() -> None:
    shown = repr(Incoming("POST", "/x", headers={b"authorization": b"Bearer secret"}, body=b"private"))
    assert "secret" not in shown
    assert "private" not in shown


async def test_http_1_0_needs_no_host() -> None:
    async with listening() as made:
        assert (await made.talk(b"GET /x HTTP/1.0\r\n\r\n")).startswith(b"HTTP/1.1 200")


async def test_answers_tell_the_time() -> None:
    async with listening() as made:
        said = await made.talk(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        dates = [line[6:] for line in said.split(b"\r\n") if line.startswith(b"Date: ")]
        told = parsedate_to_datetime(dates[0].decode())
        assert len(dates) == 1
        assert dates[0].endswith(b" GMT")
        assert abs((datetime.now(timezone.utc) - told).total_seconds()) < 600  # of the same clock
        made.server.date = b"long ago"
        await until(lambda: made.server.date != b"long ago", "the clock goes on")
