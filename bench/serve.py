"""What penjing's server costs: straight to the engine's socket against through the gateway.

    python bench/serve.py [--model PATH ...] [--rounds 8] [--write]

Same model, same worker process, same machine, taking turns: each round measures both ways, in changing order. The
client (`bench/load.py`) is the lightest there is, in a process of its own, so that what is measured is the servers.
Reported: time to first token (one client), tokens per second (1 and 8 streaming clients), the ratio of each round's
pair as median and range, and the processor time of the gateway's own process for each token.
`--write` puts the tables into docs/en and docs/zh/performance.md.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

import psutil

import page
from load import PROMPT, Figures, Load, measure, percentile, spent

STREAMS = {1: 24, 8: 48}
"""How many at once, and how many answers in all."""


# The server process


def server(model: str, slots: int) -> None:
    """penjing with `model`; prints where both ways in are as one JSON line."""
    from penjing.engines.llamacpp import EngineOptions, LlamaCpp
    from penjing.gateway.app import Gateway
    from penjing.gateway.serve import Said, run
    from penjing.operate.supervise import Supervised
    from penjing.store.resolve import resolve

    engine = Supervised(LlamaCpp(resolve(model).path, "bench", EngineOptions(parallel=slots, max_context=1024)))

    def announce(said: Said) -> None:
        if said.event == "ready":
            ways = {"direct": f"unix:{engine.address.socket}", "penjing": f"tcp:{said.url.rsplit(':', 1)[1]}"}
            print(json.dumps(ways), flush=True)

    run(Gateway({"bench": engine}), port=0, announce=announce)


# The measurement


def ask(target: str, clients: int, answers: int, tokens: int) -> Figures:
    body = {
        "messages": [{"role": "user", "content": PROMPT}],
        "max_tokens": tokens,
        "ignore_eos": True,
        "temperature": 0,
        "stream": True,
    }
    figures = measure(Load(target, clients, answers, body=body))
    if figures.failed:
        raise SystemExit(f"{target}: {figures.failed}")
    return figures


def rounds(ways: dict[str, str], gateway: psutil.Process, count: int, tokens: int) -> dict[str, Any]:
    """`count` rounds of everything, both ways in changing order. `own` is the gateway's processor seconds a token."""
    found: dict[str, Any] = {
        "first": {way: [] for way in ways},
        "rate": {clients: {way: [] for way in ways} for clients in STREAMS},
        "own": {clients: [] for clients in STREAMS},
    }
    for way in ways.values():
        ask(way, 8, 16, tokens)
    for number in range(count):
        order = list(ways) if number % 2 else list(reversed(ways))
        for way in order:
            found["first"][way] += ask(ways[way], 1, 40, 8).first
        for clients, answers in STREAMS.items():
            for way in order:
                before = spent(gateway)
                figures = ask(ways[way], clients, answers, tokens)
                found["rate"][clients][way].append(figures.rate * tokens)
                if way == "penjing":
                    found["own"][clients].append((spent(gateway) - before) / (answers * tokens))
        print(f"round {number + 1} of {count}", file=sys.stderr, flush=True)
    return found


def table(found: dict[str, Any]) -> str:
    """Markdown, the same in both languages: names, figures, units."""
    lines = ["| | direct | penjing | |", "|---|---|---|---|"]
    first = found["first"]
    for label, share in (("TTFT p50", 0.5), ("TTFT p99", 0.99)):
        direct, through = (percentile(first[way], share) * 1e3 for way in ("direct", "penjing"))
        lines.append(f"| {label} | {direct:.2f} ms | {through:.2f} ms | {through - direct:+.2f} ms |")
    for clients, ways in found["rate"].items():
        ratios = [through / direct for direct, through in zip(ways["direct"], ways["penjing"], strict=True)]
        direct, through = (statistics.median(ways[way]) for way in ("direct", "penjing"))
        spread = f"{statistics.median(ratios):.1%} ({min(ratios):.1%} … {max(ratios):.1%})"
        lines.append(f"| {clients} × stream | {direct:.0f} tok/s | {through:.0f} tok/s | {spread} |")
        own = statistics.median(found["own"][clients]) * 1e6
        lines.append(f"| {clients} × stream, CPU | | {own:.0f} µs/token | |")
    return "\n".join(lines)


HEADINGS = {
    "en": "`python bench/serve.py`: straight to the engine's socket against through penjing; {model}, {rounds} rounds, "
    "{cpu}, {cores} cores, {memory}. The last column is the difference, or the ratio of each round's pair (median, "
    "range).",
    "zh": "`python bench/serve.py`：直接连引擎的套接字与经过 penjing 的对比；{model}，{rounds} 轮，"
    "{cpu}，{cores} 核，{memory}。最后一列是差值，或每轮一对结果之比（中位数与范围）。",
}


def compared(model: str, count: int, tokens: int) -> str:
    """The table of one model, served by a process of its own."""
    process = subprocess.Popen([sys.executable, __file__, "--server", model], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        ways = json.loads(process.stdout.readline())
        return table(rounds(ways, psutil.Process(process.pid), count, tokens))
    finally:
        process.terminate()
        process.wait(30)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    what = "a .gguf, or a name penjing knows; several are measured one after the other"
    parser.add_argument("--model", nargs="+", default=["guide"], help=what)
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--tokens", type=int, default=128, help="length of each answer")
    parser.add_argument("--write", action="store_true", help="put the tables into the docs")
    parser.add_argument("--server", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.server:
        server(given.server, max(STREAMS))
        return 0
    tables = {}
    for model in given.model:
        tables[Path(model).stem] = compared(model, given.rounds, given.tokens)
        print(f"{model}\n{tables[Path(model).stem]}", flush=True)
    if given.write:
        told = {**page.machine(), "rounds": given.rounds}
        text = {
            each: "\n\n".join(f"{HEADINGS[each].format(model=name, **told)}\n\n{text}" for name, text in tables.items())
            for each in HEADINGS
        }
        page.write("bench/serve.py", text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
