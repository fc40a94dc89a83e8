"""How right plans are: what the planner predicts beside what the real engine takes and does, on models of real shapes.

    python bench/plan_accuracy.py --folder FOLDER            measures what FOLDER has no figures of yet
    python bench/plan_accuracy.py --folder FOLDER --write    puts the tables into docs/en and docs/zh/planning.md

Weights are random (`shapes`), which changes neither bytes nor time. Memory is the worker's resident memory after a
prompt that fills a micro-batch; speed is the worker's own timing of prompts and answers. The machine must be quiet for
speed; `--seconds` ends after the configuration that is being measured then, and the next call goes on.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import statistics
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import aiohttp
import msgspec

import shapes
from penjing.engines.llamacpp import EngineOptions, LlamaCpp

WORDS = (300, 4000)
"""Token ids that are words of the guide."""
ANSWER = 24
TRIES = 3


@dataclass(frozen=True)
class Configuration:
    """One engine: `shape` and `kind` name the file, `context` in tokens of each slot, `prompt` the tokens of the
    measured prompt, `deep` those that are in the cache when a second answer is timed."""

    shape: str
    kind: str
    context: int
    slots: int = 1
    kv_type: str = "f16"
    prompt: int = 512
    deep: int = 0

    @property
    def name(self) -> str:
        return f"{self.shape} {self.kind} {self.context}x{self.slots} {self.kv_type}"


CONFIGURATIONS = (
    Configuration("llama-3.2-1b", "Q4_0", 4096),
    Configuration("llama-3.2-1b", "Q8_0", 4096, slots=4),
    Configuration("llama-3.2-1b", "F16", 16384, kv_type="q8_0"),
    Configuration("qwen2.5-0.5b", "Q4_K", 32768, deep=4096),
    Configuration("qwen2.5-0.5b", "Q8_0", 8192, slots=4),
    Configuration("qwen3-1.7b", "Q6_K", 8192, slots=2),
    Configuration("qwen3-1.7b", "Q4_K", 16384, deep=2048),
    Configuration("gemma3-1b", "Q8_0", 8192, slots=2),
    Configuration("gemma3-4b", "Q4_K", 16384),
    Configuration("qwen3moe-3b", "Q4_K", 8192),
    Configuration("deepseek-lite", "Q4_K", 8192),
    Configuration("llama-7b", "Q4_0", 2048),
    Configuration("mistral-7b", "Q4_K", 8192),
    Configuration("llama-7b", "Q8_0", 1024),
)


async def measured(configuration: Configuration, path: Path) -> dict[str, Any]:
    """Memory in bytes, timings in tokens a second."""
    options = EngineOptions(
        max_context=configuration.context, parallel=configuration.slots, kv_type=configuration.kv_type, device="cpu"
    )
    engine = LlamaCpp(path, "bench", options)
    await engine.start()
    try:
        place = engine.address
        connector = aiohttp.UnixConnector(place.socket)
        async with aiohttp.ClientSession(place.url, connector=connector, headers=place.headers) as client:
            ask = Asking(client)
            await ask(16, 4)
            found: dict[str, Any] = {"prefill": [], "decode": []}
            for _ in range(TRIES if configuration.prompt <= 512 else 1):
                timings = await ask(configuration.prompt, ANSWER)
                found["prefill"].append(timings["prompt_per_second"])
                found["decode"].append(timings["predicted_per_second"])
            if configuration.slots > 1:
                together = await asyncio.gather(*(ask(32, ANSWER) for _ in range(configuration.slots)))
                found["together"] = [sum(each["predicted_per_second"] for each in together)]
            if configuration.deep:
                timings = await ask(configuration.deep, ANSWER)
                found["deep_prefill"] = [timings["prompt_per_second"]]
                found["deep_decode"] = [timings["predicted_per_second"]]
            footprint = await engine.footprint()
            found["memory"] = asdict(footprint)
    finally:
        await engine.stop()
    return found


class Asking:
    """Asks the worker with words chosen at random, so that no prompt is in its cache."""

    def __init__(self, client: aiohttp.ClientSession) -> None:
        self._client, self._random = client, random.Random(0)

    async def __call__(self, prompt: int, answer: int) -> dict[str, float]:
        ids = [self._random.randrange(*WORDS) for _ in range(prompt)]
        body = {"prompt": ids, "n_predict": answer, "cache_prompt": False, "ignore_eos": True}
        async with self._client.post("/completion", json=body) as reply:
            said: dict[str, Any] = await reply.json()
        return dict(said["timings"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()) / "penjing-plan-accuracy")
    parser.add_argument("--seconds", type=float, default=330.0)
    parser.add_argument("--only", default="", help="configurations whose name has this in it")
    given = parser.parse_args()
    given.folder.mkdir(parents=True, exist_ok=True)
    begun = time.monotonic()
    for configuration in CONFIGURATIONS:
        kept = given.folder / f"{configuration.name}.json"
        if kept.exists() or given.only not in configuration.name:
            continue
        if time.monotonic() - begun > given.seconds:
            break
        path = shapes.write(configuration.shape, configuration.kind, given.folder)
        try:
            found = asyncio.run(measured(configuration, path))
        finally:
            path.unlink()
        kept.write_bytes(msgspec.json.encode(found))
        print(
            configuration.name,
            json.dumps({k: statistics.median(v) for k, v in found.items() if k != "memory"}),
            flush=True,
        )


if __name__ == "__main__":
    main()
