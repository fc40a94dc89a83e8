"""Greedy answers of penjing's scheduler, in whatever company, against those that each prompt gets alone.

    python bench/agreement.py [MODEL.gguf ...] [--prompts 100] [--tokens 32] [--together 8]

The other side is llama.cpp's own server with one slot, one prompt after the other, as a program around its high-level
decoding has it; ours is asked `--together` at a time. Where two logits are equal to the last digit, company may decide,
as sums are added in another order: so the divergence (KL, nats) of the next token's distribution is told as well, of a
prompt computed alone and with the others in one batch. Without MODEL it is the guide.

Does not know: speed.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import sys
import tempfile
from pathlib import Path
from typing import Any

import aiohttp
import numpy as np
from numpy.typing import NDArray

from penjing.engines.llamacpp import EngineOptions, LlamaCpp
from penjing.engines.llamacpp.engine import client
from penjing.native.batch import Batch
from penjing.native.context import Context
from penjing.native.model import Model
from penjing.store.resolve import guide

WORDS = "What is a KV cache model token prune quant serve layer head 什么 是 缓存 模型 剪枝 how do I ? , .".split()  # noqa: SIM905  read as a text
PATIENCE = aiohttp.ClientTimeout(total=600)
MOST_KL = 1e-2
"""Nats that company may change at most: activations are quantized to eight bits, and sums end in another order."""


def prompts(count: int) -> list[str]:
    """Short and long ones, some of which begin alike."""
    dice = random.Random(1)
    common = " ".join(dice.choices(WORDS, k=24))
    return [
        " ".join(([common] if number % 3 == 0 else []) + dice.choices(WORDS, k=dice.randrange(2, 40)))
        for number in range(count)
    ]


async def said(path: Path, scheduler: str, together: int, asked: list[str], tokens: int) -> list[str]:
    """The answer to each prompt."""
    options = EngineOptions(max_context=512, parallel=together, scheduler=scheduler)
    engine = LlamaCpp(path, "agreement", options)
    await engine.start()
    try:
        async with client(engine.address) as line:
            gate = asyncio.Semaphore(together)

            async def ask(prompt: str) -> str:
                body: dict[str, Any] = {"prompt": prompt, "max_tokens": tokens, "temperature": 0, "ignore_eos": True}
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


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="*", type=Path)
    parser.add_argument("--prompts", type=int, default=100)
    parser.add_argument("--tokens", type=int, default=32)
    parser.add_argument("--together", type=int, default=8)
    given = parser.parse_args()
    asked, fine = prompts(given.prompts), True
    with tempfile.TemporaryDirectory(prefix="penjing-agreement-") as home:
        os.environ["PENJING_HOME"] = home
        for path in given.models or [guide()]:
            theirs = asyncio.run(said(path, "llama.cpp", 1, asked, given.tokens))
            ours = asyncio.run(said(path, "penjing", given.together, asked, given.tokens))
            same = sum(one == other for one, other in zip(ours, theirs, strict=True))
            most = divergence(path, asked, given.together)
            fine = fine and most < MOST_KL
            print(f"{path.name}: {same} of {len(asked)} answers the same; KL at most {most:.2g}", flush=True)
    return 0 if fine else 1


if __name__ == "__main__":
    sys.exit(main())
