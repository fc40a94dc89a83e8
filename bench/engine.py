"""penjing's engines against llama.cpp's own server, with the same settings.

    python bench/engine.py [--shape 0.5b] [--kind Q4_0] [--rounds 3] [--rows decode,shared]
                           [--native DIR --server FILE] [--python PYTHON FILE]
                           [--openvino] [--folder DIR] [--write]

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
eight chats with 2,048 tokens of context each (`memory`). `--python` adds the server of llama-cpp-python with
the library that PYTHON has of it, `--openvino` adds `penjing serve --engine openvino`.
"""

from __future__ import annotations

import argparse
import asyncio
import dataclasses
import os
import subprocess
import sys
import tempfile
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median

import bars
import page
import shapes
from penjing.operate.measure.figures import ratio
from sides import TEXT, Side, sides

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
TALKING, TALK = 4, 160
Figures = dict[str, float]


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
    words = side.repeated
    bound = "root ::= " + " ".join(f"<[{token}]>" for token in words)
    found = await side.ask([*side.tokens(8), *words, *side.tokens(4)], 400, grammar=bound, ignore_eos=False)
    if side.text.strip() != TEXT.strip():
        raise SystemExit(f"{side.name}: another text: {side.text!r}")
    return {"text that repeats its prompt, tok/s": found.decode}


async def memory(side: Side) -> Figures:
    """What the worker holds beside the file after chats that filled a part of their context."""
    other = dataclasses.replace(side, engine=side.make(ROOM))
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


async def measured(asked: list[Side], rows: list[str], rounds: int) -> Found:
    """Every figure of all sides."""
    found: Found = {}
    try:
        for side in asked:
            await side.engine.start()
            await side.ask(side.tokens(64), 8)
        for number in range(rounds):
            for row in rows:
                for side in asked[:: 1 if number % 2 else -1]:
                    if not side.does(row):
                        continue
                    side.dice.seed(f"{number} {row}")
                    for name, figure in (await ROWS[row](side)).items():
                        found.setdefault(name, {each.name: [] for each in asked})[side.name].append(figure)
                        print(f"round {number + 1}: {side.name}: {name}: {figure:.4g}", file=sys.stderr, flush=True)
    finally:
        for side in asked:
            await side.engine.stop()
    return found


def table(found: Found) -> str:
    """Markdown, the same in both languages: ratios are to llama.cpp's server."""
    names = list(next(iter(found.values())))
    ours = names[1:]
    lines = [
        f"| | {' | '.join(names)} | {' | '.join(f'× {side}' for side in ours)} |",
        "|---|" + "--:|" * (2 * len(names) - 1),
    ]
    for name, figures in found.items():
        pairs = [ratio(figures[side], figures[names[0]]) for side in ours]
        shown = [f"× {each.median:.2f} ({each.least:.2f} … {each.most:.2f})" if each else "-" for each in pairs]
        numbers = [f"{median(figures[side]):.3g}" if figures[side] else "-" for side in names]
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
PYTHON = {
    "en": ", and llama-cpp-python's server (examples/server) on the same library",
    "zh": "，以及使用同一个库的 llama-cpp-python 服务器（examples/server）",
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
        who = SIDES[way][each].format(library=library) + (PYTHON[each] if given.python else "")
        texts[each] = (
            f"{head.format(title=TITLES[way][each], sides=who, **told)}\n\n{text}\n\n![{mark}](../pictures/{shown})"
        )
    page.write(mark, texts)


def main() -> int:
    from penjing.native.library import library_version

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shape", choices=MODELS, default="0.5b")
    parser.add_argument("--kind", default="Q4_0", help="how the weights are quantized: Q4_0, Q4_K or Q8_0")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument(
        "--rows", type=lambda text: text.split(","), default=list(ROWS), help="which, with commas between"
    )
    parser.add_argument("--folder", type=Path, help="where the model is kept from one run to the next")
    parser.add_argument("--native", type=Path, metavar="DIR", help="libraries compiled here, as in PENJING_HOME/native")
    parser.add_argument("--server", type=Path, metavar="FILE", help="a llama-server that was compiled here")
    parser.add_argument(
        "--python", type=Path, nargs=2, metavar=("PYTHON", "FILE"), help="llama-cpp-python's examples/server/server.py"
    )
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
        found = asyncio.run(measured(sides(path, CHATS, LONG + 512, given), given.rows, given.rounds))
    text = table(found)
    print(text)
    if given.write:
        written(found, text, given, library_version())
    return 0


if __name__ == "__main__":
    sys.exit(main())
