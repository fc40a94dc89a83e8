"""What the gateway's tests drive: a gateway in this process, and a real `penjing serve` in its own."""

from __future__ import annotations

import asyncio
import io
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import psutil
import pytest
from aiohttp import web

from penjing.engines.fake import Fake, Received, Script
from penjing.gateway.app import Gateway
from penjing.gateway.serve import Said

MODEL = os.environ.get("PENJING_TEST_MODEL", "guide")
PATIENCE = 60.0


@dataclass
class Running:
    """A gateway that serves, and an HTTP client for it."""

    gateway: Gateway
    url: str
    client: aiohttp.ClientSession
    task: asyncio.Task[None]
    said: list[Said] = field(default_factory=list)

    @property
    def port(self) -> int:
        return int(self.url.rsplit(":", 1)[1])

    @property
    def engine(self) -> Fake:
        (engine,) = self.gateway.engines.values()
        assert isinstance(engine, Fake)
        return engine

    async def post(self, path: str, body: Any, **headers: str) -> tuple[int, Any]:
        """Status and JSON of the answer; `body` is sent as JSON unless it is bytes."""
        data = io.BytesIO(body if isinstance(body, bytes) else json.dumps(body).encode())
        async with self.client.post(path, headers=headers, data=data) as answer:
            return answer.status, await answer.json()

    async def chat(self, content: Any = "hi", **fields: Any) -> tuple[int, Any]:
        return await self.post("/v1/chat/completions", {"messages": [user(content)], **fields})

    async def get(self, path: str, **headers: str) -> tuple[int, Any]:
        async with self.client.get(path, headers=headers) as answer:
            return answer.status, await answer.json()

    async def stream(self, body: dict[str, Any], path: str = "/v1/chat/completions") -> str:
        async with self.client.post(path, json={**body, "stream": True}) as answer:
            assert answer.status == 200, await answer.text()
            return (await answer.read()).decode()

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection("127.0.0.1", self.port)


Serving = Callable[..., AbstractAsyncContextManager[Running]]


class Held(Fake):
    """Its answers begin when `go_on` is set: what is tested before needs no time to be enough."""

    def __init__(self, script: Script | None = None, name: str = "fake") -> None:
        super().__init__(script, name)
        self.go_on = asyncio.Event()

    async def _tokens(self, request: web.Request, received: Received, script: Script) -> AsyncIterator[str]:
        await self.go_on.wait()
        async for token in super()._tokens(request, received, script):
            yield token


def user(content: Any) -> dict[str, Any]:
    return {"role": "user", "content": content}


async def until(condition: Callable[[], bool], what: str, seconds: float = PATIENCE) -> None:
    """Wait for `condition`; fails with `what` when it never comes."""
    for _ in range(int(seconds / 0.01)):
        if condition():
            return
        await asyncio.sleep(0.01)
    pytest.fail(f"never happened: {what}")


@contextmanager
def usual_signals() -> Iterator[None]:
    """After the block signals do what they did before: a server that was taken over from leaves them to its process."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, does in before.items():
            signal.signal(number, does)


@dataclass
class Process:
    """A real `penjing serve`."""

    process: subprocess.Popen[str]
    url: str
    model: str
    lines: list[str]
    reader: threading.Thread

    @property
    def base(self) -> str:
        return f"{self.url}/v1"


def launch(*options: str, model: str = MODEL, under: tuple[str, ...] = ()) -> Process:
    """Start `penjing serve` on a free port and wait until its model is loaded; `under` is a command that runs it."""
    command = [
        *under,
        sys.executable,
        "-c",
        "from penjing.cli.main import main; main()",
        "serve",
        *([model] if model else []),
        "--port",
        "0",
        *options,
    ]
    environment = {**os.environ, "PENJING_LANGUAGE": "en"}
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment)
    assert process.stderr is not None
    lines: list[str] = []
    for line in process.stderr:
        lines.append(line)
        ready = re.search(r"Ready\..* (http://[^ ]+)/v1, model: (.+)\. C", line)
        if ready:
            reader = threading.Thread(target=lambda: lines.extend(process.stderr or ()), daemon=True)
            reader.start()
            return Process(process, ready[1], ready[2], lines, reader)
    process.wait(PATIENCE)
    process.stderr.close()
    raise RuntimeError(f"the server did not start: {''.join(lines)}")


def finish(server: Process) -> None:
    server.process.terminate()
    server.process.wait(PATIENCE)
    server.reader.join(PATIENCE)
    if server.process.stderr is not None:
        server.process.stderr.close()


def engines_of(server: Process) -> list[psutil.Process]:
    """The workers of `server`; one that has just ended is none."""
    found = []
    for child in psutil.Process(server.process.pid).children():
        with suppress(psutil.NoSuchProcess):
            if "worker" in " ".join(child.cmdline()):
                found.append(child)
    return found


def engine_of(server: Process) -> psutil.Process:
    """The worker of `server`."""
    (engine,) = engines_of(server)
    return engine


def worker_socket(server: Process) -> str:
    """The Unix socket the worker of `server` listens on."""
    (path,) = {each.laddr for each in engine_of(server).net_connections("unix") if str(each.laddr).endswith(".sock")}
    return str(path)


def eventually(condition: Callable[[], bool], what: str, seconds: float = PATIENCE) -> None:
    """Wait until `condition` holds."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            pytest.fail(f"never happened: {what}")
        time.sleep(0.02)
