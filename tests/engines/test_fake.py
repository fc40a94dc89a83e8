import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest

from engines.clients import answer, connected
from penjing.engines.fake import Fake, Script
from penjing.errors import EngineLoading, MachineError

ASK: dict[str, Any] = {"messages": [{"role": "user", "content": "one two three"}]}


@asynccontextmanager
async def running(script: Script | None = None) -> AsyncIterator[tuple[Fake, aiohttp.ClientSession]]:
    fake = Fake(script)
    await fake.start()
    try:
        async with connected(fake.address) as client:
            yield fake, client
    finally:
        await fake.stop()


async def stream(client: aiohttp.ClientSession, path: str = "/v1/chat/completions", **more: Any) -> list[str]:
    async with client.post(path, json={**ASK, "stream": True, **more}) as response:
        return [line.decode().removeprefix("data: ").strip() async for line in response.content if line.strip()]


async def test_it_says_its_script() -> None:
    async with running() as (fake, client):
        said = await answer(client, **ASK)
        assert said["choices"][0]["message"]["content"] == "Hello, world!"
        assert said["usage"] == {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7}
        assert fake.requests[0].body == ASK
        assert fake.requests[0].outcome == "done"


async def test_it_streams() -> None:
    async with running() as (_, client):
        lines = await stream(client, stream_options={"include_usage": True}, max_tokens=2)
        assert lines[-1] == "[DONE]"
        chunks = [json.loads(line) for line in lines[:-1]]
        texts = [chunk["choices"][0]["delta"].get("content") for chunk in chunks if chunk["choices"]]
        assert texts == [None, "Hello", ",", None]
        assert chunks[-1]["usage"]["completion_tokens"] == 2
        texts = [json.loads(line)["choices"][0]["text"] for line in (await stream(client, "/v1/completions"))[:-1]]
        assert "".join(texts) == "Hello, world!"


async def test_loading_progresses_and_may_fail() -> None:
    fake = Fake(Script(load=0.1))
    task = asyncio.create_task(fake.start())
    while not fake.progress.fraction:
        await asyncio.sleep(0)
    assert fake.progress.fraction < 1
    with pytest.raises(EngineLoading):
        _ = fake.address
    await task
    assert fake.progress.fraction == 1
    await fake.stop()
    fake.script = Script(start_error=MachineError(detail="no"))
    with pytest.raises(MachineError):
        await fake.start()


async def test_scripted_death_resets_the_connection() -> None:
    async with running(Script(die_after=2)) as (fake, client):
        with pytest.raises(aiohttp.ClientError):
            await stream(client)
        assert fake.requests[0].tokens == 2
        assert fake.requests[0].outcome == "fault"
        with pytest.raises(aiohttp.ClientError):
            await answer(client, **ASK)


async def test_scripted_silence() -> None:
    async with running(Script(hang_after=1)) as (fake, client):
        asking = asyncio.create_task(stream(client))
        while not fake.requests or not fake.requests[0].tokens:
            await asyncio.sleep(0.01)
        done, _ = await asyncio.wait({asking}, timeout=0.1)
        assert not done
        assert fake.requests[0].tokens == 1
        asking.cancel()


async def test_scripted_garbage() -> None:
    async with running(Script(garble_after=1)) as (_, client):
        with pytest.raises(json.JSONDecodeError):
            [json.loads(line) for line in await stream(client) if line != "[DONE]"]


async def test_scripted_status() -> None:
    async with running(Script(status=503)) as (_, client), client.post("/v1/completions", json=ASK) as response:
        assert response.status == 503
        assert "error" in await response.json()


@pytest.mark.parametrize("streaming", [True, False])
async def test_clients_that_leave_are_counted(streaming: bool) -> None:
    async with running(Script(delay=5)) as (fake, client):
        task = asyncio.create_task(stream(client) if streaming else answer(client, **ASK))
        while not fake.requests:
            await asyncio.sleep(0.01)
        task.cancel()
        while not fake.left:
            await asyncio.sleep(0.01)


async def test_death_ends_it_and_stop_does_not() -> None:
    async with running(Script(delay=5)) as (fake, client):
        ended = asyncio.create_task(fake.ended())
        asked = asyncio.create_task(stream(client))
        while not fake.requests:
            await asyncio.sleep(0.01)
        await fake.die("killed by SIGSEGV")
        assert await ended == "killed by SIGSEGV"
        with pytest.raises(aiohttp.ClientError):
            await asked
        assert not await fake.ready()
        await fake.start()
        assert fake.starts == 2
        ended = asyncio.create_task(fake.ended())
        await fake.stop()
        done, _ = await asyncio.wait({ended}, timeout=0.1)
        assert not done
        ended.cancel()


async def test_embeddings_health_and_models() -> None:
    async with running() as (_, client):
        async with client.post("/v1/embeddings", json={"input": ["a", "b"]}) as response:
            assert [entry["index"] for entry in (await response.json())["data"]] == [0, 1]
        async with client.get("/health") as response:
            assert response.status == 200
        async with client.get("/v1/models") as response:
            assert (await response.json())["data"][0]["id"] == "fake"
