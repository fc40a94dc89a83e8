"""What policies that only look cost a request (keys, routes, canaries, the line), and whether an engine is kept busy.

    python bench/policies.py

cost        microseconds that a policy adds to a request that need not wait, each the median of ROUNDS times
lookahead   answers a second of an engine with 4 slots (in a process of its own, `SECONDS` an answer), 64 clients,
            as a share of what 4 slots can do, by how many requests it holds beyond its slots
"""

from __future__ import annotations

import asyncio
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from penjing.engines.engine import Address, Capabilities, Progress
from penjing.gateway.answer import Answer
from penjing.gateway.ask import Ask, Call, Outcome
from penjing.gateway.dialects.table import Table
from penjing.gateway.house import House
from penjing.gateway.keyring.book import Book
from penjing.gateway.keyring.key import Rights
from penjing.gateway.options import GatewayOptions
from penjing.gateway.policies.admission import Admission, AdmissionOptions
from penjing.gateway.policies.canary import Canary, CanaryOptions
from penjing.gateway.policies.keys import Keys
from penjing.gateway.policies.policy import Policy, chain
from penjing.gateway.policies.route import Route, RouteOptions
from penjing.gateway.reply import Incoming
from penjing.gateway.routing.rules import Rule
from penjing.gateway.send import send
from penjing.messages import Event, Usage

TIMES, ROUNDS = 20_000, 9
SLOTS, CLIENTS, ANSWERS = 4, 64, 800
SECONDS = (0.005, 0.02)
BODY = b'{"messages": [{"role": "user", "content": "What is a LoRA adapter?"}], "max_tokens": 64}'
ALL = Rights(
    models=("e*",), requests_per_minute=10**9, tokens_per_minute=10**9, concurrency=10**6, monthly_budget=10.0**9
)
TABLE = Table()
RULES = (
    Rule(name="long", tokens_over=6000, to="other"),
    Rule(name="code", task=("code*", "sql"), to="other"),
    Rule(name="tools", tools=True, to="other"),
    Rule(name="full", busy="engine", to="other"),
    Rule(name="aliases", model=("auto", "gpt-*"), to="engine"),
)
"""None of them fits, so that all are asked."""


class Engine:
    """Somewhere else, with slots."""

    name, local, progress = "engine", True, Progress(1.0, "ready")

    def __init__(self, port: int = 1) -> None:
        self.address = Address(f"http://127.0.0.1:{port}")
        self.capabilities = Capabilities("engine", context=4096, slots=SLOTS, hears_leaving=True)

    async def start(self) -> None:
        """It is."""

    async def ready(self) -> bool:
        return True

    async def ended(self) -> str:
        return await asyncio.get_running_loop().create_future()  # type: ignore[no-any-return]  # never

    async def stop(self) -> None:
        """Whoever started it does."""


def request(secret: str = "") -> Ask:
    headers = {b"authorization": b"Bearer " + secret.encode()} if secret else {}
    incoming = Incoming("POST", "/v1/chat/completions", headers=headers, body=BODY)
    endpoint = TABLE.endpoint(incoming)
    assert endpoint is not None
    return Ask(endpoint, incoming)


async def answered(ask: Ask) -> AsyncIterable[Event]:
    """An engine that costs nothing, but reads what it is asked, as all do."""
    assert ask.wire
    return Answer.of(b"{}")


async def microseconds(policies: list[Policy], secret: str = "") -> float:
    """Of one request through `policies`."""
    call: Call = chain(policies, answered)
    done = Outcome(200, model="engine", usage=Usage(20, 64), seconds=0.1)
    found = []
    for _ in range(ROUNDS):
        began = time.perf_counter()
        for _ in range(TIMES):
            ask = request(secret)
            await call(ask)
            ask.ended(done)
        found.append((time.perf_counter() - began) / TIMES * 1e6)
    return statistics.median(found)


async def cost() -> None:
    def house(**given: Any) -> House:
        return House({"engine": Engine()}, GatewayOptions(**given))

    nothing = await microseconds([])
    print(f"{'a request without policies':44}{nothing:8.2f} us")
    await _print("admission, nobody waits", [Admission(AdmissionOptions(), house())], "", nothing)
    await _print("keys, the gateway is open", [Keys(house())], "", nothing)
    await _print("keys, one of --api-key", [Keys(house(api_keys=("secret",)))], "secret", nothing)
    _, plain = Book().add("plain", Rights())
    _, limited = Book().add("limited", ALL)
    await _print("keys, a stored key", [Keys(house())], plain, nothing)
    await _print("keys, a stored key with every limit", [Keys(house())], limited, nothing)
    two = {"engine": Engine(), "other": Engine()}
    here = House(two, GatewayOptions())
    await _print("route, a fallback", [Route(RouteOptions(fallback=("engine", "other")), here)], "", nothing)
    await _print("route, five rules", [Route(RouteOptions(rules=RULES), here)], "", nothing)
    both = RouteOptions(rules=RULES, fallback=("engine", "other"))
    await _print("route, five rules and a fallback", [Route(both, here)], "", nothing)
    await _print("canary", [Canary(CanaryOptions(to="other", share=0.05), here)], "", nothing)


async def _print(name: str, policies: list[Policy], secret: str, nothing: float) -> None:
    print(f"{name:44}{await microseconds(policies, secret) - nothing:+8.2f} us")


async def lookahead(port: int, seconds: float, more: int) -> float:
    """Answers a second as a share of what the engine can do."""
    house = House({"engine": Engine(port)}, GatewayOptions())

    async def engine(ask: Ask) -> AsyncIterable[Event]:
        return await send(ask, house)

    call = chain([Admission(AdmissionOptions(lookahead=more), house)], engine)
    left = iter(range(ANSWERS))

    async def client() -> None:
        for _ in left:
            ask = request()
            answer: Any = await call(ask)
            await answer.read()
            ask.ended(Outcome(200, seconds=seconds))

    began = time.perf_counter()
    await asyncio.gather(*(client() for _ in range(CLIENTS)))
    rate = ANSWERS / (time.perf_counter() - began)
    house.close()
    return rate * seconds / SLOTS


@contextmanager
def engine_process(seconds: float) -> Iterator[int]:
    """The port of an engine that answers each request after `seconds`, SLOTS at a time, in the order they came."""
    process = subprocess.Popen([sys.executable, __file__, "engine", str(seconds)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        yield int(process.stdout.readline())
    finally:
        process.terminate()
        process.wait()
        process.stdout.close()


async def engine(seconds: float) -> None:
    slots = asyncio.Semaphore(SLOTS)

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            try:
                head = await reader.readuntil(b"\r\n\r\n")
            except (asyncio.IncompleteReadError, ConnectionError):
                writer.close()
                return
            size = int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0])
            await reader.readexactly(size)
            async with slots:
                await asyncio.sleep(seconds)
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}")

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        os.environ["PENJING_HOME"] = str(Path(folder))
        asyncio.run(cost())
    for seconds in SECONDS:
        with engine_process(seconds) as port:
            for more in (0, 1, 2, 4):
                share = asyncio.run(lookahead(port, seconds, more))
                print(
                    f"{seconds * 1000:.0f} ms an answer, {more} beyond {SLOTS} slots: {share:.1%} of what they can do"
                )


if __name__ == "__main__":
    asyncio.run(engine(float(sys.argv[2]))) if sys.argv[1:2] == ["engine"] else main()
