"""Random clients for half an hour against penjing's scheduler: nothing may be left over, and no memory lost.

    python bench/soak.py [--minutes 30] [--clients 12]

Clients ask the built-in model over the worker's socket, short and long, alike and not, whole and streamed, and leave in
the middle of every third answer. At the end no answer runs or waits, every sequence is free or rests, and the worker's
memory has grown by less than 5 % since half of the time; it is told after each tenth. In the first half conversations
fill their part of the disk, and what is known of each is kept in memory (SETTLED).

Does not know: speed.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import sys
import tempfile
import time
from collections import Counter

import aiohttp
import psutil

from penjing.engines.llamacpp import EngineOptions, LlamaCpp
from penjing.engines.llamacpp.engine import client as session
from penjing.store.resolve import guide

SLOTS, CONTEXT = 6, 512
PARTS, SETTLED, GROWTH = 10, 5, 0.05
PATIENCE = aiohttp.ClientTimeout(total=60)
WORDS = "cache model token prune quant guide serve layer head bits 缓存 模型 剪枝".split()  # noqa: SIM905  read as a text


async def client(engine: LlamaCpp, number: int, until: float, seen: Counter[str]) -> None:
    """Ask and ask again."""
    dice = random.Random(number)
    async with session(engine.address) as line:
        while time.monotonic() < until:
            common = " ".join(WORDS[: dice.randrange(len(WORDS))] * dice.choice((1, 1, 8)))
            content = f"{common} {' '.join(dice.choices(WORDS, k=dice.randrange(1, 30)))}?"
            body = {
                "messages": [{"role": "user", "content": content}],
                "max_tokens": dice.randrange(1, 120),
                "temperature": dice.choice((0, 1)),
                "ignore_eos": dice.random() < 0.3,
                "stream": True,
            }
            try:
                async with line.post("/v1/chat/completions", json=body, timeout=PATIENCE) as said:
                    leaving = dice.random() < 1 / 3
                    async for _ in said.content:
                        if leaving and dice.random() < 0.1:
                            seen["left"] += 1
                            break
                    else:
                        seen["whole" if said.status == 200 else f"HTTP {said.status}"] += 1
            except asyncio.TimeoutError:
                raise SystemExit(f"no end of an answer within {PATIENCE.total} s") from None


async def metrics(engine: LlamaCpp) -> dict[str, int]:
    """The scheduler's own figures."""
    async with session(engine.address) as line, line.get("/metrics") as said:
        lines = (await said.text()).split("\n")
    return {name.removeprefix("penjing_scheduler_"): int(value) for name, value in map(str.split, filter(None, lines))}


async def soak(minutes: float, clients: int) -> int:
    """The exit status."""
    engine = LlamaCpp(guide(), "soak", EngineOptions(max_context=CONTEXT, parallel=SLOTS, scheduler="penjing"))
    await engine.start()
    begun, seen = time.monotonic(), Counter[str]()
    until = begun + minutes * 60
    first = await metrics(engine)
    total = first["running"] + first["resting"] + first["free"]
    asking = [asyncio.create_task(client(engine, number, until, seen)) for number in range(clients)]
    worker, held = psutil.Process(engine.pid), []
    for part in range(1, PARTS):
        await asyncio.sleep(begun + minutes * 60 * part / PARTS - time.monotonic())
        held.append(worker.memory_info().rss)
        print(f"{part * minutes / PARTS:.0f} min: {seen.total()} answers, {held[-1] >> 20} MiB", flush=True)
    await asyncio.gather(*asking)
    await asyncio.sleep(1)
    found, late = await metrics(engine), worker.memory_info().rss
    await engine.stop()
    settled = held[SETTLED - 1]
    growth = late / settled - 1
    print(f"{dict(seen)}; {found}; memory {settled >> 20} MiB -> {late >> 20} MiB ({growth:+.1%})")
    whole = found["running"] == found["waiting"] == 0 and found["resting"] + found["free"] == total
    return 0 if whole and growth < GROWTH and not any(name.startswith("HTTP") for name in seen) else 1


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--clients", type=int, default=12)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="penjing-soak-") as home:
        os.environ["PENJING_HOME"] = home
        return asyncio.run(soak(given.minutes, given.clients))


if __name__ == "__main__":
    sys.exit(main())
