"""The running server's side, beside new ones that behave as no real one can be made to."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from gateway.running import until, usual_signals
from penjing.engines.fake import Fake, Script
from penjing.gateway.app import Gateway
from penjing.gateway.serve import bind, serve
from penjing.operate.succession import old, running
from penjing.operate.succession.old import NotSucceeded, Step, Succession

pytestmark = pytest.mark.skipif(not hasattr(signal, "SIGUSR2"), reason="a server hands nothing over on Windows")
START = """
import json, os, socket, time
listener, line = (socket.socket(fileno=int(number)) for number in os.environ["PENJING_HEIR"].split(","))
told = line.makefile("r")
heir = json.loads(told.readline())
def tell(event, **facts): line.send(json.dumps({"event": event, **facts}).encode() + b"\\n")
"""
ANSWER = """
listener.setblocking(True)
client, _ = listener.accept()
client.recv(65536)
client.send(b"HTTP/1.1 200 OK\\r\\nContent-Length: 3\\r\\nConnection: close\\r\\n\\r\\nnew")
client.close()
"""


@dataclass
class Old:
    """A server with a fake engine, and what was told of its succession."""

    port: int
    engine: Fake
    succession: Succession
    task: asyncio.Task[None]
    gateway: Gateway
    told: list[Step | NotSucceeded] = field(default_factory=list)

    @property
    def events(self) -> list[str]:
        return [each.event if isinstance(each, Step) else str(each.facts["detail"]) for each in self.told]

    async def ask(self, path: str = "/health?live") -> bytes:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        writer.write(f"GET {path} HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\r\n".encode())
        answer = await reader.read()
        writer.close()
        return answer


Begun = Callable[[str], AbstractAsyncContextManager[Old]]


@pytest.fixture
def old_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Begun]:
    monkeypatch.setenv("PENJING_HOME", str(tmp_path))

    @asynccontextmanager
    async def begun(script: str) -> AsyncIterator[Old]:
        engine = Fake(Script(tokens=("x ",) * 20, delay=0.02))
        told: list[Step | NotSucceeded] = []
        succession = Succession((sys.executable, "-c", START + script), told.append, free=7)
        listener = bind("127.0.0.1", 0)
        port = listener.getsockname()[1]
        gateway = Gateway({"fake": engine})
        task = asyncio.create_task(serve(gateway, listener, relieved=succession))
        await until(lambda: running.read(port) is not None, "a server")
        try:
            yield Old(port, engine, succession, task, gateway, told)
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            if succession._child is not None:
                succession._child.wait(60)

    with usual_signals():
        yield begun


def begin() -> None:
    os.kill(os.getpid(), signal.SIGUSR2)


async def test_where_both_do_not_fit_who_comes_waits(old_server: Begun) -> None:
    script = 'tell("crowded", needed="9 GB", free="1 GB"); told.readline(); tell("ready")' + ANSWER
    async with old_server(script) as server:
        begin()
        await until(lambda: "crowded" in server.events, "that it is crowded")
        assert b"new" in await asyncio.wait_for(server.ask(), 60)
        await asyncio.wait_for(server.task, 60)
        assert server.told[1] == Step("crowded", server.succession.heir, "9 GB", "1 GB")
        assert server.events == ["starting", "crowded", "ready"]
        assert not await server.engine.ready()


async def test_one_that_fails_in_the_room_it_was_given_leaves_everything_as_it_was(old_server: Begun) -> None:
    script = 'tell("crowded", needed="9 GB", free="1 GB"); told.readline(); tell("failed", detail="no luck")'
    async with old_server(script) as server:
        begin()
        await until(lambda: "crowded" in server.events, "that it is crowded")
        assert b"200 OK" in await asyncio.wait_for(server.ask(), 60)  # asked while nobody answered
        await until(lambda: len(server.events) > 3, "all that is told")
        assert server.events == ["starting", "crowded", "back", "no luck"]
        assert await server.engine.ready()
        tried = running.read(server.port)
        assert tried is not None
        assert tried.tried == running.Try(1, "failed", "no luck")


@pytest.mark.parametrize(
    ("script", "how"),
    [
        ("raise SystemExit(3)", "exit status 3"),
        ("os.kill(os.getpid(), 9)", "it was killed by SIGKILL"),
        ("line.send(b'hello\\n'); time.sleep(60)", "it does not speak to this one"),
        ("time.sleep(60)", "it said nothing for 1 s"),
    ],
)
async def test_others_leave_it_as_it_is(
    old_server: Begun,
    script: str,
    how: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if how == "it said nothing for 1 s":
        monkeypatch.setattr(old, "PATIENCE", 1.0)
    monkeypatch.setattr(old, "ENDING", 0.2)
    async with old_server(script) as server:
        begin()
        await until(lambda: len(server.events) > 1, "that it failed")
        assert server.events[1] == how
        assert b"200 OK" in await server.ask()


async def test_one_that_is_ready_answers_and_the_old_one_ends(old_server: Begun) -> None:
    recorded: list[dict[str, object]] = []
    script = f'assert heir == {{"event": "heir", "sizes": {{}}, "free": 7}}; tell("ready"); told.readline(){ANSWER}'
    async with old_server(script) as server:
        server.gateway.house.record = lambda make: recorded.append(make())
        begin()
        await asyncio.wait_for(server.task, 60)
        assert [(each["what"], each["crowded"]) for each in recorded] == [("succession", False)]
        assert b"new" in await server.ask()
        assert server.events == ["starting", "ready"]
