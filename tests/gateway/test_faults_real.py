"""Clients that misbehave, at a real `penjing serve` in its own process: it stays small, and everything they held is
given back. What engines do wrong is in `test_faults.py`."""

from __future__ import annotations

import asyncio
import json
import re
import socket
import threading
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from gateway.running import PATIENCE, Process, eventually, finish, launch, user

SETTINGS = '[engines.spring]\nurl = "{url}"\nlocal = true\n'
PIECE = "x" * 16_384
SLOW_READERS = 16
ROOM = 48 << 20
"""By how many bytes the server may grow: some for each of `SLOW_READERS`, who are offered bytes without end."""
MEGABYTE = 1 << 20
TALK = {"messages": [user("hi")], "stream": True}
ENDLESS: dict[str, dict[str, Any]] = {
    "/v1/chat/completions": TALK,
    "/v1/completions": {"prompt": "hi", "stream": True},
    "/v1/responses": {"input": "hi", "stream": True, "store": False},
    "/v1/messages": {**TALK, "model": "spring", "max_tokens": 1000},
    "/api/chat": {**TALK, "model": "spring"},
    "/api/generate": {"model": "spring", "prompt": "hi"},
    "/api/v1/stream": {"prompt": "hi"},
    "/api/v1/chat-stream": {"user_input": "hi", "history": {"internal": [], "visible": []}},
    "/chat": {"prompt": "hi", "stream": True},
}


@dataclass
class Spring:
    """A remote engine that never stops talking, in a thread of its own: `connections` are those that ask at the moment,
    `written` all bytes that were taken from it."""

    port: int = 0
    connections: int = 0
    written: int = 0
    pause: float = 0.01
    _ready: threading.Event = field(default_factory=threading.Event)

    def start(self) -> None:
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()))
        self._thread.start()
        assert self._ready.wait(PATIENCE)

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._end.set)
        self._thread.join(PATIENCE)

    async def _run(self) -> None:
        self._loop, self._end = asyncio.get_running_loop(), asyncio.Event()
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        self._ready.set()
        await self._end.wait()
        server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError, asyncio.IncompleteReadError):
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = re.search(rb"content-length: (\d+)", head.lower())
                await reader.readexactly(int(length[1]) if length else 0)
                if head.startswith(b"GET"):
                    listing = b'{"data":[{"id":"spring"}]}'
                    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(listing), listing))
                    continue
                self.connections += 1
                try:
                    await self._talk(writer, b"/chat/" in head)
                finally:
                    self.connections -= 1
        writer.close()

    async def _talk(self, writer: asyncio.StreamWriter, chat: bool) -> None:
        choice: dict[str, Any] = {"index": 0, "finish_reason": None}
        choice |= {"delta": {"content": PIECE}} if chat else {"text": PIECE}
        event = b"data: %b\n\n" % json.dumps({"id": "1", "model": "spring", "choices": [choice]}).encode()
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n")
        while not self._end.is_set():
            writer.write(event)
            await writer.drain()
            self.written += len(event)
            await asyncio.sleep(self.pause)
            if writer.is_closing():
                raise ConnectionResetError


@pytest.fixture(scope="module")
def spring() -> Iterator[Spring]:
    made = Spring()
    made.start()
    yield made
    made.stop()


@pytest.fixture(scope="module")
def server(spring: Spring, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    folder: Path = tmp_path_factory.mktemp("spring")
    (folder / "penjing.toml").write_text(SETTINGS.format(url=f"http://127.0.0.1:{spring.port}"))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        made = launch(model="")
    yield made
    finish(made)


@pytest.fixture(autouse=True)
def nothing_is_left(server: Process, spring: Spring) -> Iterator[None]:
    """After every test no request, slot, socket or thread of it is left, and the server still answers."""
    assert httpx.get(f"{server.url}/metrics", timeout=PATIENCE).status_code == 200
    process = psutil.Process(server.process.pid)
    descriptors, threads = process.num_fds(), process.num_threads()
    spring.pause = 0.01
    yield
    eventually(lambda: spring.connections == 0, "the engine is asked no more")
    eventually(lambda: gauges(server) == {"penjing_requests_in_flight": 1.0}, "all but the one who reads it have gone")
    eventually(lambda: process.num_fds() <= descriptors + 2, "sockets are closed")
    assert process.num_threads() <= threads + 1
    faults = [line for line in server.lines if "Traceback" in line or "reference" in line]
    assert not faults, "".join(server.lines)


def gauges(server: Process) -> dict[str, float]:
    """What is going on: all that is not zero."""
    names = ("penjing_requests_in_flight", "penjing_engine_requests_active", "penjing_engine_requests_queued")
    page = httpx.get(f"{server.url}/metrics", timeout=PATIENCE).text
    lines = [line.rpartition(" ") for line in page.splitlines()]
    found = [(name, float(value)) for name, _, value in lines if name.startswith(names)]
    assert len(found) >= 3, found
    return {name: value for name, value in found if value}


def port(server: Process) -> int:
    return int(server.url.rsplit(":", 1)[1])


def request(path: str, body: Any) -> bytes:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return b"POST %b HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: %d\r\n\r\n%b" % (path.encode(), len(data), data)


def connect(server: Process, sent: bytes = b"") -> socket.socket:
    made = socket.create_connection(("127.0.0.1", port(server)), timeout=PATIENCE)
    made.sendall(sent)
    return made


@pytest.mark.parametrize("path", ENDLESS)
def test_who_leaves_in_mid_stream_frees_the_engine(server: Process, spring: Spring, path: str) -> None:
    client = connect(server, request(path, ENDLESS[path]))
    seen = b""
    while b"xxxxxxxx" not in seen:
        piece = client.recv(65_536)
        assert piece, seen
        seen += piece
    assert spring.connections == 1
    client.close()
    eventually(lambda: spring.connections == 0, "the engine sees that nobody listens")


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/messages", "/api/chat"])
def test_slow_readers_do_not_fill_the_memory(server: Process, spring: Spring, path: str) -> None:
    """As it came, and as written anew in other dialects."""
    memory = psutil.Process(server.process.pid).memory_info
    before, spring.pause = memory().rss, 0.0
    clients = [connect(server, request(path, ENDLESS[path])) for _ in range(SLOW_READERS)]
    eventually(lambda: spring.connections == SLOW_READERS, "all are answered")
    still = standstill(spring)
    assert memory().rss - before < ROOM
    for client in clients:
        for _ in range(8 * MEGABYTE // 65_536):
            assert client.recv(65_536)
    assert standstill(spring) > still
    assert memory().rss - before < ROOM
    for client in clients:
        client.close()


def standstill(spring: Spring) -> int:
    """The bytes taken from the engine once no more are."""
    last = [-1]

    def rests() -> bool:
        before, last[0] = last[0], spring.written
        threading.Event().wait(0.2)
        return before == last[0] == spring.written

    eventually(rests, "the engine is made to wait", PATIENCE)
    return last[0]


def test_answers_that_nobody_reads_do_not_fill_the_memory(server: Process) -> None:
    """A page is asked for again and again on one connection, none is taken."""
    memory = psutil.Process(server.process.pid).memory_info
    before = memory().rss
    ask = b"GET /openapi.json HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
    clients = [connect(server) for _ in range(8)]
    for client in clients:
        with suppress(ConnectionError):  # cut once too many wait
            client.sendall(ask * 200)
    eventually(lambda: "penjing_engine_requests_active" not in gauges(server), "they wait for their clients alone")
    assert memory().rss - before < ROOM
    for client in clients:
        client.close()


def test_a_thousand_connections_opened_and_dropped(server: Process, spring: Spring) -> None:
    whole = request("/v1/chat/completions", TALK)
    cuts = (0, 1, 20, len(whole) - 1, len(whole), len(whole))
    for batch in range(4):
        clients = [connect(server, whole[: cuts[number % len(cuts)]]) for number in range(250)]
        eventually(lambda: spring.connections > 0, f"some of round {batch} are answered")
        for number, client in enumerate(clients):
            if number % 2:  # a reset rather than an end
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            client.close()
    assert httpx.get(f"{server.url}/health", timeout=PATIENCE).status_code == 200


DEEP = 50_000
INSTEAD = {
    "wrong UTF-8": b'"\xff\xfe"',
    "half a character": b'"\xe7\x9b"',
    "a lone surrogate": b'"\\ud800"',
    "a zero byte": b'"\0"',
    "a number without end": b"9" * DEEP,
    "deep lists": b"[" * DEEP + b"]" * DEEP,
    "deep objects": b'{"a":' * DEEP + b"1" + b"}" * DEEP,
    "deep lists without an end": b"[" * DEEP,
}
"""What stands where a question stood."""


@pytest.mark.parametrize("path", ENDLESS)
@pytest.mark.parametrize("case", INSTEAD)
def test_bodies_that_are_no_questions_are_refused(server: Process, path: str, case: str) -> None:
    body = json.dumps(ENDLESS[path]).encode()
    assert b'"hi"' in body
    answer = httpx.post(server.url + path, content=body.replace(b'"hi"', INSTEAD[case]), timeout=PATIENCE)
    assert answer.status_code == 400, answer.text
    assert answer.json()


@pytest.mark.parametrize("field", ["parameters", "metadata"])
def test_what_engines_would_read_may_not_be_deep(server: Process, field: str) -> None:
    """Fields whose content is not ours to know."""
    tool = {"type": "function", "function": {"name": "f", "parameters": {"deep": "hi"}}}
    more: dict[str, Any] = {"tools": [tool]} if field == "parameters" else {"metadata": {"deep": "hi"}}
    body = json.dumps({"messages": [user("ho")], **more}).encode()
    body = body.replace(b'"hi"', INSTEAD["deep objects"])
    answer = httpx.post(f"{server.base}/chat/completions", content=body, timeout=PATIENCE)
    assert answer.status_code == 400, answer.text


def status(server: Process, sent: bytes) -> bytes:
    """The first line of what is said to `sent`; the server need not take all of it."""
    with connect(server) as client:
        with suppress(ConnectionError):
            client.sendall(sent)
        return client.recv(65_536).split(b"\r\n", 1)[0]


def test_heads_and_bodies_over_the_limits(server: Process) -> None:
    memory = psutil.Process(server.process.pid).memory_info
    before = memory().rss
    start = b"POST /v1/chat/completions HTTP/1.1\r\nHost: a\r\n"
    assert b" 431 " in status(server, start + b"X: " + b"y" * MEGABYTE)
    assert b" 431 " in status(server, start + b"A: b\r\n" * 20_000)
    assert b" 431 " in status(server, b"GET /" + b"p" * MEGABYTE)
    assert b" 413 " in status(server, start + b"Content-Length: 99999999999\r\n\r\n")
    chunks = b"100000\r\n" + b"z" * MEGABYTE + b"\r\n"
    assert b" 413 " in status(server, start + b"Transfer-Encoding: chunked\r\n\r\n" + chunks * 40)
    assert memory().rss - before < ROOM + (64 << 20)  # a body of the largest size, and the copy that joins it
