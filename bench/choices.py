"""Which server, HTTP client, event loop and JSON library: what each costs a request, in processor time.

    python bench/choices.py [--requests 20000] [--json] [--write]

The others are installed into an environment of their own under build/. Processor time rather than time on the clock: it
is what a gateway on one core has to spend, and a busy machine hardly changes it.

    JSON      a chat request of 1 KB to checked values
    client    64 questions at a time to `bench/upstream.py`, a client for each library
    server    an answer of 500 bytes to each request, asked by `bench/load.py`
"""

from __future__ import annotations

import argparse
import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import psutil

import page
from load import PROMPT, Load, measure, spent

HOME = Path(__file__).resolve().parent.parent / "build" / "choices"
OTHERS = ("uvicorn==0.38.0", "orjson==3.11.4", "httpx==0.28.1", "pydantic==2.12.4")
MESSAGES = [{"role": "system", "content": "You are a helpful assistant."}, {"role": "user", "content": PROMPT * 10}]
BODY = {"model": "fake", "messages": MESSAGES, "max_tokens": 32, "temperature": 0.5}
RAW = json.dumps(BODY).encode()
ANSWER = b"x" * 500
CLIENTS = 64
HOST = "127.0.0.1"


# JSON


def json_library(name: str, count: int) -> float:
    """Seconds a request."""
    decode = JSON[name]()
    began = time.process_time()
    for _ in range(count):
        decode(RAW)
    return (time.process_time() - began) / count


def with_msgspec() -> Callable[[bytes], object]:
    from penjing.gateway.dialects.openai.parse import parse
    from penjing.gateway.dialects.openai.wire import ChatBody

    return lambda raw: parse(raw, ChatBody)


def with_pydantic() -> Callable[[bytes], object]:
    import pydantic

    class Message(pydantic.BaseModel):
        role: str
        content: str

    class Chat(pydantic.BaseModel):
        model_config = pydantic.ConfigDict(extra="forbid")
        model: str
        messages: list[Message]
        max_tokens: int | None = None
        temperature: float | None = None
        stream: bool = False

    return Chat.model_validate_json


def with_orjson() -> Callable[[bytes], object]:
    import orjson

    return orjson.loads


JSON: dict[str, Callable[[], Callable[[bytes], object]]] = {
    "msgspec, checked": with_msgspec,
    "pydantic, checked (6 fields)": with_pydantic,
    "orjson, unchecked": with_orjson,
    "json, unchecked": lambda: json.loads,
}

# clients

Ask = Callable[[], Awaitable[bytes]]
Close = Callable[[], Awaitable[None]]


async def ours(port: int) -> tuple[Ask, Close]:
    from penjing.engines.engine import Address
    from penjing.gateway.upstream import Pool

    pool = Pool("fake", Address(f"http://{HOST}:{port}"), CLIENTS, CLIENTS)

    async def ask() -> bytes:
        return await (await pool.ask("POST", "/v1/chat/completions", RAW)).read()

    async def close() -> None:
        pool.close()

    return ask, close


async def aiohttp_client(port: int) -> tuple[Ask, Close]:
    import aiohttp

    session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=CLIENTS))
    url, headers = f"http://{HOST}:{port}/v1/chat/completions", {"Content-Type": "application/json"}

    async def ask() -> bytes:
        async with session.post(url, data=RAW, headers=headers) as answer:
            return await answer.read()

    return ask, session.close


async def httpx_client(port: int) -> tuple[Ask, Close]:
    import httpx

    session = httpx.AsyncClient(limits=httpx.Limits(max_connections=CLIENTS, max_keepalive_connections=CLIENTS))
    url, headers = f"http://{HOST}:{port}/v1/chat/completions", {"Content-Type": "application/json"}

    async def ask() -> bytes:
        return (await session.post(url, content=RAW, headers=headers)).content

    return ask, session.aclose


ASKERS: dict[str, Callable[[int], Awaitable[tuple[Ask, Close]]]] = {
    "ours": ours,
    "aiohttp": aiohttp_client,
    "httpx": httpx_client,
}


async def client_library(name: str, port: int, count: int) -> float:
    """Seconds a request."""
    ask, close = await ASKERS[name](port)
    left = iter(range(count))

    async def work() -> None:
        for _ in left:
            await ask()

    began = time.process_time()
    await asyncio.gather(*(work() for _ in range(CLIENTS)))
    seconds = (time.process_time() - began) / count
    await close()
    return seconds


# servers


async def our_server(port: int) -> None:
    from penjing.gateway.dialects.openai.errors import protocol_refusal
    from penjing.gateway.http import Server
    from penjing.gateway.options import Limits
    from penjing.gateway.reply import Incoming, Reply

    async def answer(incoming: Incoming, reply: Reply) -> None:
        reply.send(200, b"text/plain", ANSWER)

    server = Server(answer, protocol_refusal, print, Limits())
    listening = await asyncio.get_running_loop().create_server(server.connection, HOST, port)
    await listening.serve_forever()


async def aiohttp_server(port: int) -> None:
    from aiohttp import web

    async def answer(request: web.Request) -> web.Response:
        await request.read()
        return web.Response(body=ANSWER, content_type="text/plain")

    app = web.Application()
    app.router.add_post("/v1/chat/completions", answer)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, HOST, port).start()
    await asyncio.Event().wait()


async def uvicorn_server(port: int) -> None:
    import uvicorn

    head = {"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"500")]}

    async def answer(scope: Any, receive: Any, send: Any) -> None:
        while (await receive()).get("more_body"):
            pass
        await send(head)
        await send({"type": "http.response.body", "body": ANSWER})

    options = uvicorn.Config(answer, HOST, port, log_level="error", access_log=False, http="httptools", lifespan="off")
    await uvicorn.Server(options).serve()


SERVERS: dict[str, Callable[[int], Awaitable[None]]] = {
    "ours": our_server,
    "uvicorn (bare ASGI)": uvicorn_server,
    "aiohttp": aiohttp_server,
}
LOOPS = ("uvloop", "asyncio")


def run(loop: str, main: Any) -> Any:
    if loop == "asyncio":
        return asyncio.run(main)
    import uvloop

    return uvloop.run(main)


# The run


def inner(kind: str, name: str, loop: str, port: int, count: int) -> None:
    """What runs inside the environment with everything."""
    if kind == "json":
        print(json_library(name, count))
    elif kind == "client":
        print(run(loop, client_library(name, port, count)))
    else:
        run(loop, SERVERS[name](port))


def outer(*given: str) -> list[str]:
    """The command for `inner`, in an environment that has the others and all of ours."""
    python = HOME / "bin" / "python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", HOME], check=True)
        subprocess.run([python, "-m", "pip", "install", "-q", "--only-binary", ":all:", *OTHERS], check=True)
        source = Path(__file__).resolve().parent.parent / "src"
        places = "\n".join([str(source), *(path for path in sys.path if path.endswith("site-packages"))])
        next(HOME.glob("lib/python*/site-packages")).joinpath("ours.pth").write_text(places)
    return [str(python), __file__, "--inner", *given]


def microseconds(command: list[str]) -> float:
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, timeout=300)
    return float(done.stdout) * 1e6


def server(name: str, loop: str, count: int) -> float:
    """Microseconds a request of the server's processor time."""
    import socket

    with socket.socket() as one:
        one.bind((HOST, 0))
        port = one.getsockname()[1]
    process = subprocess.Popen(outer("server", name, loop, str(port), "0"))
    try:
        for _ in range(100):
            time.sleep(0.1)
            with socket.socket() as one:
                if not one.connect_ex((HOST, port)):
                    break
        load = Load(f"tcp:{port}", CLIENTS, count, body=BODY)
        measure(load)
        before = spent(psutil.Process(process.pid))
        figures = measure(load)
        if figures.failed:
            raise SystemExit(f"{name}: {figures.failed}")
        return (spent(psutil.Process(process.pid)) - before) / count * 1e6
    finally:
        process.terminate()
        process.wait(20)


def measured(count: int) -> dict[str, float]:
    found = {f"JSON, {name}": microseconds(outer("json", name, "", "0", str(count))) for name in JSON}
    command = [sys.executable, str(Path(__file__).parent / "upstream.py")]
    upstream = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert upstream.stdout is not None
        port = upstream.stdout.readline().strip()
        for name in ASKERS:
            for loop in LOOPS:
                found[f"client, {name}, {loop}"] = microseconds(outer("client", name, loop, port, str(count)))
    finally:
        upstream.terminate()
        upstream.wait(20)
    for name in SERVERS:
        for loop in LOOPS:
            found[f"server, {name}, {loop}"] = server(name, loop, count)
    return found


HEADINGS = {
    "en": "## What libraries cost\n\n`python bench/choices.py`: processor time a request, 64 connections, {requests} "
    "requests each; {cpu}.",
    "zh": "## 各个库的开销\n\n`python bench/choices.py`：每个请求的处理器时间，64 个连接，"
    "每项 {requests} 个请求；{cpu}。",
}


def table(found: dict[str, float]) -> str:
    """Markdown, the same in both languages."""
    rows = (f"| {name} | {value:.1f} µs |" for name, value in found.items())
    return "\n".join(("| | CPU |", "|---|---|", *rows))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=20_000)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--write", action="store_true", help="put the table into the docs")
    parser.add_argument("--inner", nargs=5, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.inner:
        kind, name, loop, port, count = given.inner
        inner(kind, name, loop, int(port), int(count))
        return 0
    found = measured(given.requests)
    if given.json:
        print(json.dumps(found, indent=2))
    else:
        print(table(found))
    if given.write:
        told = {**page.machine(), "requests": given.requests}
        text = {each: f"{HEADINGS[each].format(**told)}\n\n{table(found)}" for each in HEADINGS}
        page.write("bench/choices.py", text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
