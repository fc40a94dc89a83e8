"""A gateway with real engines in this process, and answers from it that are whole."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp

from penjing.gateway.app import Gateway
from penjing.gateway.serve import bind, serve, url_of

QUESTION = "What is quantization?"


@asynccontextmanager
async def living(gateway: Gateway) -> AsyncIterator[aiohttp.ClientSession]:
    """A client of `gateway`, which serves while the block lasts."""
    ready = asyncio.Event()
    listener = bind("127.0.0.1", 0)
    url = url_of(listener)
    with listener:
        task = asyncio.create_task(
            serve(gateway, listener, announce=lambda said: ready.set() if said.event == "ready" else None)
        )
        waiting = asyncio.ensure_future(ready.wait())
        await asyncio.wait([task, waiting], return_when=asyncio.FIRST_COMPLETED)
        waiting.cancel()
        try:
            async with aiohttp.ClientSession(url, timeout=aiohttp.ClientTimeout(60)) as client:
                yield client
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


async def ask(client: aiohttp.ClientSession, **more: Any) -> str:
    """A streamed answer, whole; what is wrong with it is an assertion."""
    body = {"messages": [{"role": "user", "content": QUESTION}], "stream": True, "temperature": 0, **more}
    async with client.post("/v1/chat/completions", json=body) as answer:
        assert answer.status == 200, await answer.text()
        text, last = "", b""
        async for line in answer.content:
            if line.startswith(b"data: {"):
                event = json.loads(line[6:])
                assert "error" not in event, event
                for choice in event["choices"]:
                    text += choice["delta"].get("content") or ""
            last = line if line.strip() else last
        assert last.strip() == b"data: [DONE]"
        return text
