"""A server whose door is shut, and opened again."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import pytest

from gateway.running import until, usual_signals
from penjing.engines.fake import Fake, Script
from penjing.gateway import hold as module
from penjing.gateway.app import Gateway
from penjing.gateway.hold import Hold
from penjing.gateway.serve import bind, serve

pytestmark = pytest.mark.usefixtures("signals")
REQUEST = b"GET /health?live HTTP/1.1\r\nHost: here\r\n\r\n"


@pytest.fixture
def signals() -> Iterator[None]:
    with usual_signals():
        yield


@asynccontextmanager
async def held() -> AsyncIterator[tuple[Hold, int, asyncio.Task[None]]]:
    """A server, its port and its task."""
    found: asyncio.Future[Hold] = asyncio.get_running_loop().create_future()

    async def take(hold: Hold) -> None:
        found.set_result(hold)

    listener = bind("127.0.0.1", 0)
    port = listener.getsockname()[1]
    task = asyncio.create_task(serve(Gateway({"fake": Fake(Script(tokens=("x ",)))}), listener, relieved=take))
    try:
        yield await found, port, task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def head(reader: asyncio.StreamReader) -> bytes:
    found = await reader.readuntil(b"\r\n\r\n")
    length = int(found.lower().partition(b"content-length: ")[2].partition(b"\r")[0])
    await reader.readexactly(length)
    return found


async def test_who_has_a_connection_is_told_that_it_ends() -> None:
    async with held() as (hold, port, task):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(REQUEST)
        assert b"Connection: close" not in await head(reader)
        leaving = asyncio.create_task(hold.leave())
        await leaving
        writer.write(REQUEST)  # on its way while the server leaves
        assert b"Connection: close" in await head(reader)
        assert await reader.read() == b""
        writer.close()
        await asyncio.wait_for(task, 60)


async def test_who_says_nothing_is_let_go_after_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("penjing.gateway.serve.GRACE", 0.1)
    async with held() as (hold, port, task):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(REQUEST)
        await head(reader)
        await hold.leave()
        assert await asyncio.wait_for(reader.read(), 60) == b""
        writer.close()
        await asyncio.wait_for(task, 60)


async def test_who_comes_while_the_door_is_shut_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "GRACE", 0.1)
    async with held() as (hold, port, _):
        await hold.make_room()
        assert not await hold.gateway.engines["fake"].ready()
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(REQUEST)
        waiting = asyncio.create_task(head(reader))
        await asyncio.sleep(0.05)
        assert not waiting.done()
        await hold.go_on()
        assert b"Connection: close" not in await waiting
        assert await hold.gateway.engines["fake"].ready()
        writer.close()


async def test_the_second_signal_cuts_also_when_somebody_else_hears() -> None:
    async with held() as (hold, _, task):
        heard: list[int] = []
        hold.heard = heard.append
        hold.signalled(15)
        assert not hold.cutting.is_set()
        hold.signalled(2)
        assert hold.cutting.is_set()
        assert heard == [15, 2]
        await until(task.done, "the end")
