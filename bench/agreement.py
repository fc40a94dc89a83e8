"""Greedy answers of penjing's scheduler against those that each prompt gets alone from llama.cpp's own server.

    python bench/agreement.py [MODEL.gguf ...] [--prompts 100] [--tokens 32] [--together 8] [--native DIR] [--write]

The yardstick has one slot and computes each prompt whole, as llama-cpp-python's high-level API does for one prompt.
Ours answers alone and whole as well; alone with what the cache has of each prompt; and `--together` at a time. Sums
that are added in another order end in other digits, so where two tokens are nearly equally likely company and cache may
decide: llama.cpp's own server in the same company says how much of that is the library's. How far the next token's
distribution moves (KL, nats) is told of a prompt computed alone and with the others in one batch. Without MODEL it is
the guide. With DIR, a library that `penjing engine build` compiled (PENJING_HOME/native/NAME), ours is on that one, the
yardstick still on the wheel's.

Does not know: speed.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

import aiohttp
import numpy as np
from numpy.typing import NDArray

import page
from penjing.engines.llamacpp import EngineOptions, LlamaCpp
from penjing.engines.llamacpp.engine import client
from penjing.native import libraries
from penjing.native.batch import Batch
from penjing.native.context import Context
from penjing.native.model import Model
from penjing.store.resolve import guide

WORDS = "What is a KV cache model token prune quant serve layer head 什么 是 缓存 模型 剪枝 how do I ? , .".split()  # noqa: SIM905  read as a text
PATIENCE = aiohttp.ClientTimeout(total=600)
MOST_KL = 1e-2
"""Nats that company may change at most: activations are quantized to eight bits, and sums end in another order."""
SAID = {
    "en": "`bench/agreement.py` on {cpu}: of {count} greedy answers of {tokens} tokens each to prompts of random "
    "words, so many are those of llama.cpp's server that computes one whole prompt after the other. KL in nats.\n\n"
    "| model | penjing, one by one, prompts whole | with what the cache has | {together} at a time "
    "| llama.cpp's server, {together} at a time | largest KL in company |\n|---|--:|--:|--:|--:|--:|",
    "zh": "`bench/agreement.py`，{cpu}：对随机词组成的提示作 {count} 个贪心回答（每个 {tokens} 个 token），"
    "与逐个完整计算提示的 llama.cpp 服务器相同的有多少。KL 的单位是 nats。\n\n"
    "| 模型 | penjing，逐个，完整计算提示 | 使用缓存里已有的内容 | {together} 个一起 "
    "| llama.cpp 的服务器，{together} 个一起 | 一起计算时最大的 KL |\n|---|--:|--:|--:|--:|--:|",
}


def prompts(count: int) -> list[str]:
    """Short and long ones, some of which begin alike."""
    dice = random.Random(1)
    common = " ".join(dice.choices(WORDS, k=24))
    return [
        " ".join(([common] if number % 3 == 0 else []) + dice.choices(WORDS, k=dice.randrange(2, 40)))
        for number in range(count)
    ]


async def said(
    path: Path, scheduler: str, together: int, asked: list[str], tokens: int, *, reuse: bool = True
) -> list[str]:
    """The answer to each prompt; without `reuse` each is computed whole."""
    options = EngineOptions(max_context=512, parallel=together, scheduler=scheduler)
    engine = LlamaCpp(path, "agreement", options)
    await engine.start()
    try:
        async with client(engine.address) as line:
            gate = asyncio.Semaphore(together)

            async def ask(prompt: str) -> str:
                body: dict[str, Any] = {"prompt": prompt, "max_tokens": tokens, "temperature": 0, "ignore_eos": True}
                body["cache_prompt"] = reuse
                async with gate, line.post("/v1/completions", json=body, timeout=PATIENCE) as answer:
                    return str((await answer.json())["choices"][0]["text"])

            return list(await asyncio.gather(*map(ask, asked)))
    finally:
        await engine.stop()


def divergence(path: Path, asked: list[str], together: int) -> float:
    """The largest KL of a prompt's next token, alone and in company."""
    worst = 0.0
    with Model(path) as model, Context(model, 4096, together) as context:
        for start in range(0, len(asked), together):
            group = [model.tokenize(text)[:200] for text in asked[start : start + together]]
            alone = np.stack([context.compute(tokens)[-1].copy() for tokens in group])
            context.memory.clear()
            batch = Batch(context.batch_size)
            for sequence, tokens in enumerate(group):
                last = batch.extend(tokens, 0, sequence) + len(tokens) - 1
                batch.wanted[last] = True
            context.decode(batch)
            worst = max(worst, float(kl(alone, context.logits()).max()))
            context.memory.clear()
    return worst


def kl(one: NDArray[np.float32], other: NDArray[np.float32]) -> NDArray[np.float64]:
    """Of logits f32 [n, vocabulary]: f64 [n]."""
    logs = [
        each - np.log(np.exp(each - each.max(1, keepdims=True)).sum(1, keepdims=True)) - each.max(1, keepdims=True)
        for each in (one.astype(np.float64), other.astype(np.float64))
    ]
    return np.asarray((np.exp(logs[0]) * (logs[0] - logs[1])).sum(1))


def row(path: Path, asked: list[str], tokens: int, together: int) -> tuple[list[int], float]:
    """How many answers are those of the yardstick, for each of WAYS; the largest KL."""
    yardstick = asyncio.run(said(path, "llama.cpp", 1, asked, tokens, reuse=False))
    ways = (("penjing", 1, False), ("penjing", 1, True), ("penjing", together, True), ("llama.cpp", together, True))
    same = []
    for scheduler, company, reuse in ways:
        found = asyncio.run(said(path, scheduler, company, asked, tokens, reuse=reuse))
        same.append(sum(one == other for one, other in zip(found, yardstick, strict=True)))
        print(f"{path.name}, {scheduler}, {company} at a time, reuse {reuse}: {same[-1]} of {len(asked)}", flush=True)
    return same, divergence(path, asked, together)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="*", type=Path)
    parser.add_argument("--prompts", type=int, default=100)
    parser.add_argument("--tokens", type=int, default=32)
    parser.add_argument("--together", type=int, default=8)
    parser.add_argument("--native", type=Path, metavar="DIR", help="ours is on this library")
    parser.add_argument("--write", action="store_true", help="put the table into docs/en and docs/zh")
    given = parser.parse_args()
    asked, lines, fine = prompts(given.prompts), [], True
    with tempfile.TemporaryDirectory(prefix="penjing-agreement-") as home:
        os.environ["PENJING_HOME"] = home
        if given.native:
            shutil.copytree(given.native, libraries.folder() / given.native.name)
            libraries.use(given.native.name)
        for path in given.models or [guide()]:
            same, most = row(path, asked, given.tokens, given.together)
            fine = fine and most < MOST_KL
            lines.append(f"| {path.stem} | {' | '.join(map(str, same))} | {most:.2g} |")
            print(lines[-1], flush=True)
    if given.write:
        facts = {"count": len(asked), "tokens": given.tokens, "together": given.together, **page.machine()}
        page.write(
            "agreement.py",
            {name: "\n".join([head.format(**facts), *lines]) for name, head in SAID.items()},
            "scheduler",
        )
    return 0 if fine else 1


if __name__ == "__main__":
    sys.exit(main())
