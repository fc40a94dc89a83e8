"""A gateway in this process in front of fake engines, and a real `penjing serve` in its own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest

from gateway.running import Process, Running, Serving, finish, launch, until
from penjing.engines.fake import Fake, Script
from penjing.gateway.app import Gateway
from penjing.gateway.options import GatewayOptions
from penjing.gateway.serve import Said, bind, serve


@pytest.fixture(autouse=True, scope="session")
def home_of_tests(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """API keys that whoever runs the tests has made would close every gateway here."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PENJING_HOME", str(tmp_path_factory.mktemp("home")))
        yield


@pytest.fixture
def serving() -> Serving:
    """`async with serving(Script(...), options) as running`: a gateway in front of a fake, all started. The fake itself
    may be given in the place of its script."""

    @asynccontextmanager
    async def run(
        fake: Script | Fake | None = None,
        options: GatewayOptions | None = None,
        engines: dict[str, Any] | None = None,
    ) -> AsyncIterator[Running]:
        gateway = Gateway(engines or {"fake": fake if isinstance(fake, Fake) else Fake(fake)}, options)
        said: list[Said] = []
        listener = bind("127.0.0.1", 0)
        task = asyncio.create_task(serve(gateway, listener, announce=said.append, drain_seconds=60))
        await until(lambda: bool(said) or task.done(), "listening")
        async with aiohttp.ClientSession(said[0].url) as client:
            running = Running(gateway, said[0].url, client, task, said)
            if engines is None:
                await until(lambda: len(said) > 1, "ready")
            yield running
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    return run


@pytest.fixture(scope="session")
def real() -> Iterator[Process]:
    """One real server for all tests that only ask it."""
    server = launch("--parallel", "4", "--max-context", "1024")
    yield server
    finish(server)
