"""Links to an engine: kept, bounded, broken, cancelled."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from gateway.running import until, user
from penjing.engines.engine import Address
from penjing.engines.fake import Fake, Script
from penjing.errors import EngineDied
from penjing.gateway import answer as answers
from penjing.gateway import upstream
from penjing.gateway.answer import Answer, TooLong, leave
from penjing.gateway.beat import BEATS
from penjing.gateway.silence import EngineSilent, Silence
from penjing.gateway.upstream import EngineProtocol, EngineUnreachable, Pool
from penjing.messages import Chunk

PATH = "/v1/chat/completions"


def body(**fields: Any) -> bytes:
    return json.dumps({"messages": [user("hi")], **fields}).encode()


@asynccontextmanager
async def pooled(script: Script | None = None, limit: int = 8, idle: int = 4) -> AsyncIterator[tuple[Pool, Fake]]:
    engine = Fake(script)
    await engine.start()
    pool = Pool("fake", engine.address, limit, idle)
    yield pool, engine
    pool.close()
    await engine.stop()


Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Any]


@asynccontextmanager
async def raw(folder: Path, talk: Talk, silence: Silence | None = None) -> AsyncIterator[Pool]:
    """A pool to a server that does on each connection what `talk` does."""
    path = str(folder / "raw.sock")

    running: set[asyncio.Task[None] | None] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        running.add(asyncio.current_task())
        try:
            await talk(reader, writer)
        finally:
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()

    server = await asyncio.start_unix_server(serve, path)
    pool = Pool("raw", Address("http://raw", socket=path), 4, 4, silence)
    yield pool
    pool.close()
    server.close()
    await asyncio.gather(*filter(None, running), return_exceptions=True)


def say(*answers: bytes) -> Talk:
    """Send one of `answers` for each request, then close."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for answer in answers:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(answer)
            await writer.drain()

    return talk


async def test_a_link_is_used_again() -> None:
    async with pooled() as (pool, engine):
        for _ in range(3):
            assert json.loads(await (await pool.ask("POST", PATH, body())).read())["choices"]
        assert pool.active == 0
        assert len(pool._idle) == 1
        assert pool._idle[0].used == 3
        assert len(engine.requests) == 3


async def test_no_more_links_rest_than_allowed() -> None:
    async with pooled(idle=2) as (pool, _):
        answers = await asyncio.gather(*(pool.ask("POST", PATH, body()) for _ in range(5)))
        await asyncio.gather(*(answer.read() for answer in answers))
        assert len(pool._idle) == 2


async def test_requests_beyond_the_limit_wait_in_line() -> None:
    async with pooled(Script(delay=0.02), limit=2) as (pool, engine):
        asking = [asyncio.create_task(pool.ask("POST", PATH, body(stream=True))) for _ in range(5)]
        await until(lambda: len(engine.requests) == 2, "two at work")
        assert (pool.active, pool.queued) == (2, 3)
        asking[4].cancel()
        await until(lambda: pool.queued == 2, "one left the line")
        for task in asking[:4]:
            async for _ in await task:
                pass
        assert (pool.active, pool.queued, len(engine.requests)) == (0, 0, 4)


async def test_cancelling_before_the_head_closes_the_connection() -> None:
    async with pooled(Script(first_delay=60)) as (pool, engine):
        asking = asyncio.create_task(pool.ask("POST", PATH, body()))
        await until(lambda: bool(engine.requests), "asked")
        asking.cancel()
        await until(lambda: engine.left == 1, "the engine notices")
        assert pool.active == 0


async def test_cancelling_an_answer_closes_the_connection() -> None:
    async with pooled(Script(tokens=("x",) * 1000, delay=0.01)) as (pool, engine):
        answer = await pool.ask("POST", PATH, body(stream=True))
        async for _ in answer:
            break
        await leave(answer)
        answer.cancel()
        await until(lambda: engine.left == 1, "the engine notices")
        assert pool.active == 0


async def test_nobody_there() -> None:
    pool = Pool("gone", Address("http://x", socket="/nonexistent/x.sock"), 1, 1)
    for _ in range(2):
        with pytest.raises(EngineUnreachable, match="gone"):
            await pool.ask("POST", PATH)
    assert pool.active == 0


async def test_a_stale_link_is_replaced(tmp_path: Path) -> None:
    whole = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
    async with raw(tmp_path, say(whole)) as pool:
        assert await (await pool.ask("GET", "/")).read() == b"ok"
        link = pool._idle[0]
        await until(lambda: link.closed, "the other side closed")
        assert await (await pool.ask("GET", "/")).read() == b"ok"
        assert pool.active == 0


async def test_a_reused_link_that_breaks_at_once_is_asked_again(tmp_path: Path) -> None:
    whole = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
    calls: list[int] = []

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        calls.append(1)
        writer.write(whole)
        await reader.read(1)  # the second request's first byte is answered by closing

    async with raw(tmp_path, talk) as pool:
        assert await (await pool.ask("GET", "/")).read() == b"ok"
        assert await (await pool.ask("GET", "/")).read() == b"ok"
        assert len(calls) == 2
        assert pool.active == 0


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (b"", EngineDied),
        (b"HTTP/1.1 200", EngineDied),
        (b"nonsense\r\n\r\n", EngineProtocol),
        (b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n", EngineProtocol),
    ],
)
async def test_broken_heads(tmp_path: Path, answer: bytes, kind: type[Exception]) -> None:
    async with raw(tmp_path, say(answer)) as pool:
        with pytest.raises(kind):
            await pool.ask("GET", "/")
        assert pool.active == 0


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf", EngineDied),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n", EngineDied),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", EngineProtocol),
    ],
)
async def test_broken_bodies(tmp_path: Path, answer: bytes, kind: type[Exception]) -> None:
    async with raw(tmp_path, say(answer)) as pool:
        with pytest.raises(kind):
            await (await pool.ask("GET", "/")).read()
        assert pool.active == 0


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\nall of it",
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nall of it",
        b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\nConnection: close\r\n\r\nall of it",
        b"HTTP/1.0 200 OK\r\nContent-Length: 9\r\n\r\nall of it",
    ],
)
async def test_ways_to_end_a_body(tmp_path: Path, answer: bytes) -> None:
    async with raw(tmp_path, say(answer)) as pool:
        assert await (await pool.ask("GET", "/")).read() == b"all of it"
        assert pool.active == 0


async def test_the_address_is_spoken_to_as_it_wants(tmp_path: Path) -> None:
    heads: list[bytes] = []

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heads.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")

    async with raw(tmp_path, talk) as pool:
        address = Address("http://office:81/api/", pool.address.socket, {"Authorization": "Bearer k"})
        other = Pool("office", address, 1, 1)
        await (await other.ask("POST", "/v1/models", b"{}")).read()
        other.close()
    assert heads[0].startswith(b"POST /api/v1/models HTTP/1.1\r\nHost: office:81\r\nAuthorization: Bearer k\r\n")
    assert heads[0].endswith(b"Content-Type: application/json\r\nContent-Length: 2\r\n\r\n")


@pytest.mark.parametrize(
    ("url", "host"), [("http://[::1]:81", "[::1]:81"), ("https://[fe80::1]/v", "[fe80::1]"), ("http://a", "a")]
)
def test_the_host_is_named_as_in_the_address(url: str, host: str) -> None:
    assert Pool("m", Address(url), 1, 1)._lines == f"\r\nHost: {host}"


class Unread:
    """A source that nobody needs to feed."""

    def __init__(self) -> None:
        self.calls: list[str] = []

    def pause(self, answer: Answer) -> None:
        self.calls.append("pause")

    def resume(self, answer: Answer) -> None:
        self.calls.append("resume")

    def rest(self, answer: Answer, seconds: float) -> None:
        self.calls.append("rest")

    def abort(self) -> None:
        self.calls.append("abort")


async def test_a_stream_that_nobody_takes_waits() -> None:
    source = Unread()
    answer = Answer(source, 200, b"text/event-stream")
    answer.feed([b"x" * 200_000])
    assert source.calls == []
    answer.feed([b"x" * 200_000])
    assert source.calls == ["pause"]
    answer.complete()
    assert sum([len(chunk.body) async for chunk in answer]) == 400_000
    assert source.calls == ["pause", "resume"]


async def test_errors_come_after_what_was_there() -> None:
    answer = Answer(Unread(), 200, b"text/event-stream")
    answer.feed([b"some"])
    answer.broken(EngineDied(model="m", how="x"))
    answer.broken(EngineDied(model="m", how="again"))
    assert await answer.__aiter__().__anext__() == Chunk(b"some")
    with pytest.raises(EngineDied, match=r"\(x\)"):
        await answer.read()


STREAM = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


def then_hang(said: bytes) -> Talk:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(said)
        await reader.read()  # until the other side has had enough

    return talk


@pytest.mark.parametrize("said", [b"", b"HTTP/1.1 200 OK\r\n"])
async def test_an_engine_that_never_begins_is_given_up(tmp_path: Path, said: bytes) -> None:
    async with raw(tmp_path, then_hang(said), Silence(first=0.1, between=60)) as pool:
        with pytest.raises(EngineSilent, match=r"0\.1 s"):
            await pool.ask("GET", "/")
        assert pool.active == 0


async def test_an_engine_that_hangs_in_mid_answer_is_given_up(tmp_path: Path) -> None:
    async with raw(tmp_path, then_hang(STREAM + chunk(b"data: 1\n\n")), Silence(first=60, between=0.1)) as pool:
        answer = await pool.ask("GET", "/")
        pieces = answer.__aiter__()
        assert await pieces.__anext__() == Chunk(b"data: 1\n\n")
        with pytest.raises(EngineSilent):
            await pieces.__anext__()
        assert pool.active == 0


async def test_a_body_that_never_begins_is_the_first_silence(tmp_path: Path) -> None:
    async with raw(tmp_path, then_hang(STREAM), Silence(first=0.1, between=60)) as pool:
        with pytest.raises(EngineSilent):
            await (await pool.ask("GET", "/")).read()


async def test_who_is_not_listened_to_is_not_silent(tmp_path: Path) -> None:
    async with raw(tmp_path, then_hang(STREAM + chunk(b"data: 1\n\n")), Silence(between=0.1)) as pool:
        answer = await pool.ask("GET", "/")
        await answer.begun()
        answer.pause()
        await asyncio.sleep(0.4)
        assert not answer._done
        answer.resume()
        with pytest.raises(EngineSilent):
            await answer.read()


class Sink:
    def __init__(self) -> None:
        self.pieces: list[bytes] = []
        self.ended: Exception | bool = False

    def data(self, data: bytes) -> None:
        self.pieces.append(data)

    def finish(self) -> None:
        self.ended = True

    def fail(self, error: Exception) -> None:
        self.ended = error


@pytest.mark.parametrize("end", ["well", "cut", "reset"])
async def test_a_stream_at_a_beat_loses_nothing(tmp_path: Path, end: str) -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(STREAM)
        for number in range(200):
            writer.write(chunk(b"%d," % number))
            await writer.drain()
            await asyncio.sleep(0.0005)
        if end == "reset":
            writer.transport.abort()
        elif end == "well":
            writer.write(b"0\r\n\r\n")

    async with raw(tmp_path, talk) as pool:
        sink = Sink()
        answer = await pool.ask("GET", "/")
        answer.attach(sink)
        for seconds in (*BEATS, *reversed(BEATS)):
            answer.rest(seconds)
            await asyncio.sleep(0.01)
        answer.pause()
        answer.rest(BEATS[0])
        seen = len(sink.pieces)
        await asyncio.sleep(0.02)
        assert len(sink.pieces) == seen
        answer.resume()
        answer.rest(BEATS[0])
        await until(lambda: bool(sink.ended), "the end")
        assert b"".join(sink.pieces) == b"".join(b"%d," % number for number in range(200))
        assert sink.ended is True if end == "well" else isinstance(sink.ended, EngineDied)
        assert pool.active == 0


async def test_a_whole_answer_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answers, "WHOLE_LIMIT", 1000)
    endless = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunk(b"x" * 400) * 10
    async with raw(tmp_path, then_hang(endless)) as pool:
        with pytest.raises(TooLong):
            await (await pool.ask("GET", "/")).read()
        assert pool.active == 0


async def test_a_stream_can_be_read_whole(tmp_path: Path) -> None:
    long = STREAM + chunk(b"x" * 400_000) + chunk(b"y" * 400_000) + b"0\r\n\r\n"
    async with raw(tmp_path, say(long)) as pool:
        assert len(await (await pool.ask("GET", "/")).read()) == 800_000


async def test_links_do_not_rest_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upstream, "IDLE_SECONDS", 0.05)
    monkeypatch.setattr(upstream, "SWEEP_SECONDS", 0.05)
    async with pooled() as (pool, _):
        await (await pool.ask("POST", PATH, body())).read()
        link = pool._idle[0]
        await until(lambda: link.closed, "it is closed")
        assert pool._idle == []
