"""penjing's engines against llama.cpp's own server, with the same settings.

    python bench/engine.py [--shape 0.5b] [--kind Q4_0] [--rounds 3] [--rows decode,shared]
                           [--native DIR --server FILE] [--openvino] [--folder DIR] [--write]

All workers are running, each in its turn is asked over its own address, the gateway left out; who begins changes with
each round. The first side is the peer: llama.cpp's server of the wheel against penjing's scheduler on the wheel's
library, or what was compiled here on both sides: the llama-server FILE against penjing with the newest library in DIR,
a folder as penjing engine build makes it. The model has the shape of Qwen2.5 with 4,096 words and random weights, so
texts are sampled (temperature 1, seeded): greedy ones of random weights repeat themselves, and guesses would pay as
they never do. Prompts are random tokens, new ones for each round.

Rows: `decode` and `prefill` of one stream; the same while another program takes a core (`busy`); 8 chats at once with
200 tokens in common (`shared`) and with nothing (`apart`); the longest wait between two tokens of 4 chats while a long
prompt arrives (`arrival`); the first token of a long conversation after a restart of the worker (`restart`); an answer
that a grammar binds to the tokens of a text in its prompt (`repeat`), which must be the same; the worker's memory after
eight chats with 2,048 tokens of context each (`memory`). `--openvino` adds `penjing serve --engine openvino`.
"""

from __future__ import annotations

import argparse
import asyncio
import dataclasses
import os
import random
import subprocess
import sys
import tempfile
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any

import bars
import page
import shapes
from llama_server import LlamaServer
from penjing.engines.llamacpp import EngineOptions, LlamaCpp
from penjing.engines.openvino.engine import OpenVino
from penjing.native.model import Model
from penjing.operate.measure.figures import ratio
from penjing.operate.measure.sample import Sample, sample
from penjing.operate.measure.wire import Connection, events, request

WORDS = 4096
MODELS = {
    "0.5b": shapes.SHAPES["qwen2.5-0.5b"],
    "1.5b": shapes.Shape("qwen2", 28, 1536, 12, 2, 128, 8960, WORDS, context=32768, tied=True),
    "7b": shapes.Shape("qwen2", 28, 3584, 28, 4, 128, 18944, WORDS, context=32768, tied=True),
}
CHATS, COMMON, OWN, SAID = 8, 200, 26, 32
PROMPT, STREAMED, LONG = 512, 64, 4096
ROOM = 2048
"""Tokens of context of each chat whose memory is weighed."""
TEXT = "The quick brown fox jumps over the lazy dog while it rains in the old town by the river. " * 3
TALKING, TALK = 4, 160
PATIENCE = 300.0
WITHOUT = ("repeat", "restart")
"""OpenVINO has no GBNF, and keeps no conversations."""
ONE = "llama-server, 1 thread"
"""The best fixed setting beside a busy core, where there are two: asked for that row alone."""
Make = Callable[[int], Any]
"""An engine with so many tokens of context for each chat."""
Figures = dict[str, float]


@dataclasses.dataclass
class Side:
    """One scheduler with the model."""

    name: str
    make: Make
    engine: Any
    dice: random.Random = dataclasses.field(default_factory=random.Random)
    text: str = ""
    """Of the last answer."""
    words: tuple[int, ...] = ()
    """The tokens of TEXT."""
    without: tuple[str, ...] = ()
    """Rows of what it cannot do."""

    def tokens(self, count: int) -> list[int]:
        """A random prompt."""
        return [self.dice.randrange(300, WORDS) for _ in range(count)]

    async def ask(self, prompt: list[int], said: int, **more: object) -> Sample:
        """The answer to `prompt`, of `said` tokens; `more` fields."""
        body: dict[str, object] = {
            "prompt": prompt,
            "max_tokens": said,
            "ignore_eos": True,
            "temperature": 1,
            "seed": self.dice.randrange(1 << 30),
            "stream": True,
            "stream_options": {"include_usage": True},
            **more,
        }
        line = Connection(self.engine.address)
        heard = await line.ask(request(self.engine.address, "/v1/completions", body), PATIENCE)
        line.close()
        found = sample(heard)
        if not found.ended or heard.status != 200 or heard.error:
            raise SystemExit(f"{self.name}: {found.error}")
        # Random weights say tokens without a letter, which count as well.
        told = [(moment, event) for moment, event in events(heard) if event.get("choices")]
        self.text = "".join(event["choices"][0].get("text") or "" for _, event in told)
        counts = next(event["usage"] for _, event in events(heard) if event.get("usage"))
        return dataclasses.replace(
            found,
            moments=tuple(moment for moment, _ in told[: counts["completion_tokens"]]),
            prompt_tokens=counts["prompt_tokens"],
            completion_tokens=counts["completion_tokens"],
            cached_tokens=counts["prompt_tokens_details"]["cached_tokens"],
        )


async def decode(side: Side) -> Figures:
    """One stream after a short prompt."""
    return {"decode, tok/s": (await side.ask(side.tokens(32), STREAMED)).decode}


async def prefill(side: Side) -> Figures:
    """The first token after a prompt."""
    return {f"prefill {PROMPT}, tok/s": (await side.ask(side.tokens(PROMPT), 1)).prefill}


async def long(side: Side) -> Figures:
    """The first token after a long prompt."""
    return {f"prefill {LONG}, tok/s": (await side.ask(side.tokens(LONG), 1)).prefill}


async def repeat(side: Side) -> Figures:
    """An answer that says a text of its prompt again, whatever the weights would say."""
    words = side.words
    bound = "root ::= " + " ".join(f"<[{token}]>" for token in words)
    found = await side.ask([*side.tokens(8), *words, *side.tokens(4)], 400, grammar=bound, ignore_eos=False)
    if side.text.strip() != TEXT.strip():
        raise SystemExit(f"{side.name}: another text: {side.text!r}")
    return {"text that repeats its prompt, tok/s": found.decode}


async def memory(side: Side) -> Figures:
    """What the worker holds beside the file after chats that filled a part of their context."""
    other = Side(side.name, side.make, side.make(ROOM), side.dice)
    await other.engine.start()
    try:
        await asyncio.gather(*(other.ask(other.tokens(COMMON), 8) for _ in range(CHATS)))
        weight = await other.engine.footprint()
    finally:
        await other.engine.stop()
    return {f"resident memory at {CHATS} × {ROOM}, MiB": weight.resident / (1 << 20)}


async def busy(side: Side) -> Figures:
    """Both beside a program that takes a core."""
    with spinning():
        await side.ask(side.tokens(16), 16)  # it has been busy for a while
        found = {**await decode(side), **await prefill(side)}
    return {f"beside a busy core: {name}": figure for name, figure in found.items()}


async def shared(side: Side) -> Figures:
    """Chats that begin alike."""
    common = side.tokens(COMMON)
    return await together(side, [[*common, *side.tokens(OWN)] for _ in range(CHATS)], f"{CHATS} chats, {COMMON} shared")


async def apart(side: Side) -> Figures:
    """Chats that have nothing in common."""
    return await together(side, [side.tokens(COMMON + OWN) for _ in range(CHATS)], f"{CHATS} chats, nothing shared")


async def together(side: Side, prompts: list[list[int]], name: str) -> Figures:
    """All prompts at once."""
    found = await asyncio.gather(*(side.ask(prompt, SAID) for prompt in prompts))
    seconds = max(one.ended for one in found) - min(one.asked for one in found)
    return {
        f"{name}: TTFT p50, s": median(one.first for one in found),
        f"{name}: tok/s": sum(one.completion_tokens for one in found) / seconds,
    }


async def arrival(side: Side) -> Figures:
    """The longest wait of running chats while a long prompt is read."""
    talking = [asyncio.create_task(side.ask(side.tokens(16), TALK)) for _ in range(TALKING)]
    await asyncio.sleep(1.0)
    long = await side.ask(side.tokens(LONG), 1)
    found = await asyncio.gather(*talking)
    gaps = [
        after - before
        for one in found
        for before, after in zip(one.moments, one.moments[1:], strict=False)
        if before < long.ended and after > long.asked
    ]
    return {f"{LONG} tokens arrive: longest gap, s": max(gaps), f"{LONG} tokens arrive: their TTFT, s": long.first}


async def restart(side: Side) -> Figures:
    """A long conversation, cold and after the worker was started again."""
    prompt = side.tokens(LONG)
    cold = await side.ask(prompt, 4)
    await side.engine.stop()
    await side.engine.start()
    again = await side.ask([*prompt, *side.tokens(8)], 4)
    return {f"back to {LONG} tokens after a restart: TTFT, % of cold": 100 * again.first / cold.first}


Row = Callable[[Side], Awaitable[Figures]]
ROWS: dict[str, Row] = {
    "decode": decode,
    "prefill": prefill,
    "long": long,
    "repeat": repeat,
    "memory": memory,
    "busy": busy,
    "shared": shared,
    "apart": apart,
    "arrival": arrival,
    "restart": restart,
}


@contextmanager
def spinning() -> Iterator[None]:
    """Another program that computes, as long as this one is there."""
    child = subprocess.Popen([sys.executable, "-c", f"import os\nwhile os.getppid() == {os.getpid()}: pass"])
    try:
        yield
    finally:
        child.kill()
        child.wait()


Found = dict[str, dict[str, list[float]]]
"""Figure, side, and a number for each round."""


def makers(path: Path, given: argparse.Namespace) -> dict[str, Make]:
    """How each side is made."""

    def ours(kind: type[LlamaCpp], own: Mapping[str, Any]) -> Make:
        usual = EngineOptions(parallel=CHATS, threads=os.cpu_count(), **own)
        return lambda context: kind(path, "bench", dataclasses.replace(usual, max_context=context))

    found: dict[str, Make] = {}
    if given.server:
        found["llama-server"] = lambda context: LlamaServer(given.server, path, context, CHATS)
        found["penjing"] = ours(LlamaCpp, {"scheduler": "penjing", "library": "native"})
        if "busy" in given.rows:
            found[ONE] = lambda context: LlamaServer(given.server, path, context, CHATS, threads=1)
    else:
        found["llama.cpp's server"] = ours(LlamaCpp, {"scheduler": "llama.cpp"})
        found["penjing"] = ours(LlamaCpp, {"scheduler": "penjing", "library": "prebuilt"})
    if given.openvino:
        found["penjing, OpenVINO"] = ours(OpenVino, {"engine": "openvino"})
    return found


async def measured(path: Path, rows: list[str], rounds: int, wanted: Mapping[str, Make]) -> Found:
    """Every figure of all sides."""
    found: Found = {}
    with Model(path, vocabulary_only=True) as model:
        words = tuple(model.tokenize(TEXT, begin=False))
    sides = [Side(name, make, make(LONG + 512), words=words) for name, make in wanted.items()]
    for side in sides:
        side.without = WITHOUT if isinstance(side.engine, OpenVino) else ()
        if side.name == ONE:
            side.without = tuple(set(ROWS) - {"busy"})
    try:
        for side in sides:
            await side.engine.start()
            await side.ask(side.tokens(64), 8)
        for number in range(rounds):
            for row in rows:
                for side in sides[:: 1 if number % 2 else -1]:
                    if row in side.without:
                        continue
                    side.dice.seed(f"{number} {row}")
                    for name, figure in (await ROWS[row](side)).items():
                        found.setdefault(name, {each: [] for each in wanted})[side.name].append(figure)
                        print(f"round {number + 1}: {side.name}: {name}: {figure:.4g}", file=sys.stderr, flush=True)
    finally:
        for side in sides:
            await side.engine.stop()
    return found


def table(found: Found) -> str:
    """Markdown, the same in both languages: ratios are to llama.cpp's server."""
    sides = list(next(iter(found.values())))
    ours = sides[1:]
    lines = [
        f"| | {' | '.join(sides)} | {' | '.join(f'× {side}' for side in ours)} |",
        "|---|" + "--:|" * (2 * len(sides) - 1),
    ]
    for name, figures in found.items():
        pairs = [ratio(figures[side], figures[sides[0]]) for side in ours]
        shown = [f"× {each.median:.2f} ({each.least:.2f} … {each.most:.2f})" if each else "-" for each in pairs]
        numbers = [f"{median(figures[side]):.3g}" if figures[side] else "-" for side in sides]
        lines.append(f"| {name} | {' | '.join((*numbers, *shown))} |")
    return "\n".join(lines)


TITLES = {
    "wheel": {"en": "penjing's scheduler, on the wheel's library", "zh": "penjing 的调度器，使用预编译库"},
    "compiled": {"en": "penjing's scheduler, compiled here", "zh": "penjing 的调度器，在本机编译"},
}
SIDES = {
    "wheel": {
        "en": "`--scheduler penjing` against llama.cpp's own server, both on the library of xllamacpp {library}",
        "zh": "`--scheduler penjing` 对比 llama.cpp 自带的服务器，两者都使用 xllamacpp {library} 的预编译库",
    },
    "compiled": {
        "en": "`--scheduler penjing` on what `penjing engine build` compiled, against a llama-server compiled here "
        "from the same source distribution",
        "zh": "使用 `penjing engine build` 编译结果的 `--scheduler penjing`，对比在本机用同一份源码编译的 llama-server",
    },
}
HEADINGS = {
    "en": "## {title}, {shape} {kind}\n\n`python bench/engine.py`: {sides}, with {cores} threads, asked over the "
    "worker's own address; shape of Qwen2.5 {shape}, {kind}, random weights, {words} words; {rounds} rounds in turns, "
    "{cpu}, {cores} cores, {memory}. The last columns are to the first one in each round (median, range). Not run on a "
    "GPU.",
    "zh": "## {title}，{shape} {kind}\n\n`python bench/engine.py`：{sides}，{cores} 个线程，"
    "直接通过工作进程的地址提问；Qwen2.5 {shape} 的形状，{kind}，随机权重，{words} 个词；交替 {rounds} 轮，"
    "{cpu}，{cores} 核，{memory}。"
    "最后几列是每一轮中与第一列之比（中位数与范围）。未在 GPU 上运行。",
}


def written(found: Found, text: str, given: argparse.Namespace, library: str) -> None:
    """Put the table and its picture into the docs."""
    way = "compiled" if given.server else "wheel"
    shape = given.shape.upper()
    mark = f"bench/engine.py {way} {shape} {given.kind}"
    shown = f"engine-{way}-{given.shape}-{given.kind.lower()}.svg"
    bars.save(page.ROOT / "docs" / "pictures" / shown, found)
    told = {**page.machine(), "rounds": given.rounds, "words": WORDS, "shape": shape, "kind": given.kind}
    texts = {}
    for each, head in HEADINGS.items():
        sides = SIDES[way][each].format(library=library)
        texts[each] = (
            f"{head.format(title=TITLES[way][each], sides=sides, **told)}\n\n{text}\n\n![{mark}](../pictures/{shown})"
        )
    page.write(mark, texts)


def main() -> int:
    from penjing.native.library import library_version

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shape", choices=MODELS, default="0.5b")
    parser.add_argument("--kind", default="Q4_0", help="how the weights are quantized: Q4_0, Q4_K or Q8_0")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--rows", default=",".join(ROWS), help="which, with commas between")
    parser.add_argument("--folder", type=Path, help="where the model is kept from one run to the next")
    parser.add_argument("--native", type=Path, metavar="DIR", help="libraries compiled here, as in PENJING_HOME/native")
    parser.add_argument("--server", type=Path, metavar="FILE", help="a llama-server that was compiled here")
    parser.add_argument("--openvino", action="store_true")
    parser.add_argument("--write", action="store_true", help="put the table into the docs")
    given = parser.parse_args()
    if bool(given.native) != bool(given.server):
        parser.error("--native and --server belong together: what was compiled here is compared with its like")
    name = f"bench-{given.shape}"
    shapes.SHAPES[name] = dataclasses.replace(MODELS[given.shape], words=WORDS)
    with tempfile.TemporaryDirectory(prefix="penjing-bench-") as home:
        os.environ["PENJING_HOME"] = home
        folder = given.folder or Path(home)
        folder.mkdir(parents=True, exist_ok=True)
        path = shapes.write(name, given.kind, folder)
        if given.native:
            (Path(home) / "native").symlink_to(given.native.resolve())
        found = asyncio.run(measured(path, given.rows.split(","), given.rounds, makers(path, given)))
    text = table(found)
    print(text)
    if given.write:
        written(found, text, given, library_version())
    return 0


if __name__ == "__main__":
    sys.exit(main())
