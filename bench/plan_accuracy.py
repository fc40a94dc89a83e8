"""How right plans are: what the planner predicts beside what the real engine takes and does, on models of real shapes.

    python bench/plan_accuracy.py memory              measures what there are no figures of yet
    python bench/plan_accuracy.py speed               the same; the machine must be quiet
    python bench/plan_accuracy.py                     prints predictions beside figures
    python bench/plan_accuracy.py --write             puts both tables into docs/en and docs/zh/planning.md

Weights are random (`shapes`), which changes neither bytes nor time. Memory is the worker's resident memory after a
prompt that fills a micro-batch; speed is the worker's own timing of prompts and answers, in moments in which other
programs rested. Figures are kept in FOLDER, one file a configuration, so that measuring may be done in turns of
`--seconds` and predictions be made anew. Calibrations alternate with configurations, and each is predicted from the
mean of the two beside it: a machine that is shared with strangers is up to a fifth faster or slower a few minutes
later, which is not the planner's.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import asdict, dataclass
from datetime import date
from functools import partial
from pathlib import Path
from typing import Any

import aiohttp
import msgspec

import page
import shapes
from accuracy import HEADINGS, PHRASES, Row, summaries, table
from penjing.engines.llamacpp import EngineOptions, LlamaCpp
from penjing.native.library import library_version
from penjing.plan import memory, speed
from penjing.plan.memory import Terms
from penjing.plan.speed import Interval, Load
from penjing.plan.weights import repacking
from penjing.probe import calibrate, machine
from penjing.probe import model as probe
from penjing.probe.calibrate import Calibration
from penjing.probe.facts import Model
from penjing.probe.others import Others

WORDS = (300, 4000)
"""Token ids that are words of the guide."""
ANSWER, TOGETHER = 16, 16
"""Tokens of an answer, of each of several answers at once."""
SHORT = 8
"""Tokens of each prompt whose answers are timed together."""
TRIES, MOST_TRIES, PATIENCE = 2, 16, 10.0
"""Tries that count, tries at most, and seconds after which none is begun for calm's sake."""
DISTURBED, MOST_DISTURBED = 0.1, 0.5
"""Cores that other programs may take during a try without and with regret."""


@dataclass(frozen=True)
class Configuration:
    """One engine: `shape` and `kind` name the file, `context` in tokens of each slot, `prompt` and `deep` are those
    after which answers are timed (0 for none). `fitted`: its figures may have been looked at while the planner was
    made."""

    shape: str
    kind: str
    context: int
    slots: int = 1
    kv_type: str = "f16"
    deep: int = 0
    prompt: int = 512
    fitted: bool = False

    @property
    def name(self) -> str:
        kept = "" if self.kv_type == "f16" else f" {self.kv_type}"
        return f"{self.shape} {self.kind} {self.context}×{self.slots}{kept}"


MEMORY = (
    Configuration("llama-3.2-1b", "Q4_0", 4096, fitted=True),
    Configuration("llama-3.2-1b", "Q8_0", 4096, slots=4, fitted=True),
    Configuration("llama-3.2-1b", "F16", 16384, kv_type="q8_0", fitted=True),
    Configuration("qwen2.5-0.5b", "Q4_K", 32768, fitted=True),
    Configuration("qwen2.5-0.5b", "Q8_0", 8192, slots=4, fitted=True),
    Configuration("qwen3-1.7b", "Q6_K", 8192, slots=2, fitted=True),
    Configuration("qwen3-1.7b", "Q4_K", 16384, slots=4, kv_type="q8_0"),
    Configuration("gemma3-1b", "Q8_0", 8192, slots=2, fitted=True),
    Configuration("gemma3-4b", "Q4_K", 16384, fitted=True),
    Configuration("qwen3moe-3b", "Q4_K", 8192, fitted=True),
    Configuration("deepseek-lite", "Q4_K", 8192, fitted=True),
    Configuration("smollm2-360m", "Q8_0", 8192, slots=4),
    Configuration("llama-3.2-3b", "Q4_K", 8192, slots=3, kv_type="q4_0"),
    Configuration("mini-3.8b", "Q5_K", 4096, slots=2),
    Configuration("qwen3-4b", "Q5_K", 4096, slots=2),
    Configuration("mistral-7b", "Q4_K", 8192, fitted=True),
    Configuration("llama-7b", "Q4_0", 2048, fitted=True),
    Configuration("llama-7b", "Q8_0", 1024, fitted=True),
)
SPEED = (
    Configuration("qwen2.5-0.5b", "Q8_0", 8192, slots=4, deep=2048, fitted=True),
    Configuration("qwen2.5-0.5b", "Q4_0", 8192, slots=4, deep=2048, fitted=True),
    Configuration("smollm2-360m", "F16", 4096, slots=4, deep=2048),
    Configuration("llama-3.2-1b", "Q4_K", 4096, slots=4, prompt=256, fitted=True),
    Configuration("gemma3-1b", "Q8_0", 4096, slots=4, prompt=256, deep=1024),
    Configuration("qwen3moe-3b", "Q4_K", 4096, slots=4, prompt=256, deep=1024, fitted=True),
    Configuration("qwen3-1.7b", "Q4_K", 4096, slots=4, prompt=256, deep=1024),
    Configuration("llama-3.2-3b", "Q4_0", 4096, slots=4, prompt=128),
    Configuration("qwen2.5-3b", "Q8_0", 2048, slots=4, prompt=128),
    Configuration("smollm2-135m", "Q8_0", 4096, slots=4, deep=2048, fitted=True),
    Configuration("llama-3.2-1b", "F16", 4096, slots=4, prompt=256),
    Configuration("qwen3-1.7b", "Q6_K", 4096, slots=2, prompt=256),
    Configuration("deepseek-lite", "Q4_K", 2048, slots=4, prompt=256),
    Configuration("qwen3-4b", "Q5_K", 2048, slots=2, prompt=128),
    Configuration("llama-7b", "Q4_0", 2048, slots=2, prompt=128),
)


class Disturbed(Exception):
    """Nothing can be measured now."""


class Asking:
    """Asks the worker with words chosen at random, so that no prompt is in its cache."""

    def __init__(self, client: aiohttp.ClientSession) -> None:
        self._client, self._random = client, random.Random(0)
        self._last: list[int] = []

    async def __call__(self, prompt: int, answer: int, *, again: bool = False) -> dict[str, float]:
        """The worker's timings of an answer. `again`: after the prompt that was asked last, which is not read anew."""
        if not again or len(self._last) != prompt:
            self._last = [self._random.randrange(*WORDS) for _ in range(prompt)]
        body = {"prompt": self._last, "n_predict": answer, "cache_prompt": again, "ignore_eos": True}
        async with self._client.post("/completion", json=body) as reply:
            said: dict[str, Any] = await reply.json()
        return dict(said["timings"])


async def taken(one: Configuration, engine: LlamaCpp, ask: Asking) -> dict[str, Any]:
    """Bytes of the worker's memory."""
    await ask(one.prompt, 4)
    return asdict(await engine.footprint())


async def timed(one: Configuration, engine: LlamaCpp, ask: Asking) -> dict[str, Any]:
    """Tokens a second."""

    async def prefill(tokens: int) -> list[float]:
        return [(await ask(tokens, 1))["prompt_per_second"]]

    async def decode(tokens: int) -> list[float]:
        return [(await ask(tokens, ANSWER, again=True))["predicted_per_second"]]

    async def together() -> list[float]:
        answers = await asyncio.gather(*(ask(SHORT, TOGETHER) for _ in range(one.slots)))
        return [sum(each["predicted_per_second"] for each in answers)]

    works: dict[str, Callable[[], Awaitable[list[float]]]] = {
        "prefill": partial(prefill, one.prompt),
        "decode": partial(decode, one.prompt),
        "deep_prefill": partial(prefill, one.deep),
        "deep_decode": partial(decode, one.deep),
        "together": together,
    }
    wanted = {name for name in works if one.deep or "deep" not in name} - ({"together"} if one.slots == 1 else set())
    return {name: await calm(work, engine.pid) for name, work in works.items() if name in wanted}


async def calm(work: Callable[[], Awaitable[list[float]]], pid: int) -> list[float]:
    """What `work` gives in TRIES tries during which other programs than this and `pid` rested; where they never do for
    so long, the fastest of those that they disturbed little (a calibration keeps its fastest tries as well)."""
    begun = time.monotonic()
    tries: list[tuple[float, float]] = []
    while len(tries) < MOST_TRIES and (len(tries) < TRIES or time.monotonic() - begun < PATIENCE):
        others = Others(pid)
        rate = statistics.fmean(await work())
        tries.append((others.cores(), rate))
        rates = [rate for cores, rate in tries if cores < DISTURBED]
        if len(rates) >= TRIES:
            return rates
    little = [rate for cores, rate in tries if cores < MOST_DISTURBED]
    if not little:
        raise Disturbed(f"other programs keep {min(tries)[0]:.1f} cores busy")
    return sorted(little)[-TRIES:]


def calibrated() -> Calibration:
    """This machine's calibration, a second one where other programs ran during the first."""
    for _ in range(TRIES):
        found = calibrate.calibrate(machine.read(gpus=False))
        if not found.noisy:
            return found
        print(f"  calibration disturbed: load {found.load:.0%}, spread {found.spread:.0%}", flush=True)
    raise Disturbed("other programs disturb the calibration")


async def measured(what: str, one: Configuration, path: Path) -> dict[str, Any]:
    """Figures of one engine that is started for them."""
    options = EngineOptions(max_context=one.context, parallel=one.slots, kv_type=one.kv_type, device="cpu")
    engine = LlamaCpp(path, "bench", options)
    await engine.start()
    try:
        place = engine.address
        connector = aiohttp.UnixConnector(place.socket)
        async with aiohttp.ClientSession(place.url, connector=connector, headers=place.headers) as client:
            ask = Asking(client)
            await ask(16, 4)
            return await (taken if what == "memory" else timed)(one, engine, ask)
    finally:
        await engine.stop()


def measure(what: str, folder: Path, only: str, seconds: float) -> None:
    """Measure the configurations of which `folder` has no figures, until `seconds` are over."""
    begun = time.monotonic()
    try:
        before = calibrated() if what == "speed" else None
    except Disturbed as why:
        print(f"{why}: nothing was measured.")
        return
    for one in MEMORY if what == "memory" else SPEED:
        kept = folder / f"{what} {one.name}.json"
        if kept.exists() or only not in one.name:
            continue
        if time.monotonic() - begun > seconds:
            print("More is to be measured: once again.")
            break
        path = shapes.write(one.shape, one.kind, folder)
        try:
            found = asyncio.run(measured(what, one, path))
            after = calibrated() if before else None
        except Disturbed as why:
            print(f"{one.name}: {why}; left for another turn.", flush=True)
            continue
        finally:
            path.unlink()
        kept.write_bytes(msgspec.json.encode({"figures": found, "calibration": before and after and [before, after]}))
        before = after
        print(one.name, json.dumps(found), flush=True)


def mean(*values: Any) -> Any:
    """The mean of what JSON made of calibrations, number by number; of anything else the first."""
    first = values[0]
    if isinstance(first, dict):
        return {name: mean(*(value[name] for value in values)) for name in first if all(name in one for one in values)}
    if isinstance(first, list):
        return [mean(*parts) for parts in zip(*values, strict=True)]
    return statistics.fmean(values) if isinstance(first, float) else first


def facts(one: Configuration, folder: Path) -> Model:
    """What the planner knows of a model: its header."""
    return probe.read(shapes.write(one.shape, one.kind, folder, hollow=True))


def figures(kept: Path) -> dict[str, Any]:
    """What was measured."""
    return dict(json.loads(kept.read_bytes())["figures"])


def memory_rows(folder: Path) -> Iterator[Row]:
    """MB."""
    repacks = repacking(machine.read(gpus=False))
    for one in MEMORY:
        kept = folder / f"memory {one.name}.json"
        if kept.exists():
            need = memory.need(facts(one, folder), one.context, one.slots, Terms(one.kv_type, repacks=repacks))
            likely = need.resident / 1e6
            predicted = Interval(likely, likely, likely)
            yield Row(one.name, "memory", {}, predicted, figures(kept)["resident"] / 1e6, one.fitted)


def speed_rows(folder: Path) -> Iterator[Row]:
    """Tokens a second."""
    for one in SPEED:
        kept = folder / f"speed {one.name}.json"
        if not kept.exists():
            continue
        found, model = figures(kept), facts(one, folder)
        calibration = msgspec.convert(mean(*json.loads(kept.read_bytes())["calibration"]), Calibration)
        if calibration.noisy:
            continue
        loads = {
            "prefill": Load(one.prompt),
            "deep_prefill": Load(one.deep),
            "decode": Load(context_tokens=one.prompt + ANSWER // 2),
            "deep_decode": Load(context_tokens=one.deep + ANSWER // 2),
            "together": Load(context_tokens=SHORT + TOGETHER // 2, together=one.slots),
        }
        for what, load in loads.items():
            if what in found:
                told = speed.predict(model, calibration, load)
                kind = "prefill" if "prefill" in what else "decode"
                rate = told.prefill_tokens_per_s if kind == "prefill" else told.decode_tokens_per_s
                words = {each: phrase.format(**asdict(load)) for each, phrase in PHRASES[what].items()}
                yield Row(one.name, kind, words, rate, statistics.median(found[what]), one.fitted)


def show(folder: Path, *, write: bool) -> None:
    """Both tables, and with `write` into the pages."""
    of_memory, of_speed = list(memory_rows(folder)), list(speed_rows(folder))
    for name, rows, goals in (
        ("memory-accuracy", of_memory, {"memory": 0.05}),
        ("speed-accuracy", of_speed, {"decode": 0.15, "prefill": 0.25}),
    ):
        texts: dict[str, str] = {}
        for language in ("en", "zh") if rows else ():
            about = page.machine() | {"date": date.today().isoformat(), "library": library_version()}
            lines = [HEADINGS[name][language].format(**about), "", table(rows, language), ""]
            texts[language] = "\n".join([*lines, *summaries(rows, goals, language)])
        print(texts.get("en", f"{name}: nothing is measured yet"), end="\n\n")
        if write and texts:
            page.write(name, texts, "planning")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", nargs="?", choices=("memory", "speed", "show"), default="show")
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()) / "penjing-plan-accuracy")
    parser.add_argument("--seconds", type=float, default=300.0)
    parser.add_argument("--only", default="", help="configurations whose name has this in it")
    parser.add_argument("--write", action="store_true")
    given = parser.parse_args()
    given.folder.mkdir(parents=True, exist_ok=True)
    if given.what == "show":
        show(given.folder, write=given.write)
    else:
        measure(given.what, given.folder, given.only, given.seconds)


if __name__ == "__main__":
    main()
