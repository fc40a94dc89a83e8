"""Talking to an engine in tests."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import aiohttp

from penjing.engines.engine import Address

T = TypeVar("T")


@asynccontextmanager
async def connected(address: Address) -> AsyncIterator[aiohttp.ClientSession]:
    """A client whose requests go to `address`."""
    connector = aiohttp.UnixConnector(address.socket) if address.socket else aiohttp.TCPConnector()
    async with aiohttp.ClientSession(address.url, connector=connector, headers=address.headers) as client:
        yield client


async def answer(client: aiohttp.ClientSession, **body: Any) -> dict[str, Any]:
    """The whole answer to a chat request that succeeds."""
    async with client.post("/v1/chat/completions", json=body) as response:
        said: dict[str, Any] = await response.json()
        assert response.status == 200, said
        return said


async def until(ask: Callable[[], Awaitable[T]], holds: Callable[[T], bool], *, every: float = 0.01) -> T:
    """Ask until what comes back holds; pytest's own time limit ends a wait in vain."""
    while not holds(found := await ask()):
        await asyncio.sleep(every)
    return found
