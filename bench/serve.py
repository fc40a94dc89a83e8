"""What penjing's server costs: straight to the engine's socket against through the gateway.

    python bench/serve.py [--model PATH] [--rounds 8] [--write]

Same model, same worker process, same machine, taking turns: each round measures both ways, in changing order. The
client is a plain select loop over raw sockets in a process of its own, the lightest there is, so that what is
measured is the servers. Reported: time to first token (one client), tokens per second (1 and 8 streaming clients),
the ratio of each round's pair as median and range, and the processor time of the gateway's own process for each token.
`--write` puts the tables into docs/en and docs/zh/performance.md.
"""

from __future__ import annotations

import argparse
import json
import selectors
import socket
import statistics
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import psutil

ROOT = Path(__file__).resolve().parent.parent
STREAMS = (1, 8)
BEGIN, END = "<!-- bench/serve.py -->", "<!-- end of bench/serve.py -->"
PROMPT = "Tell me how much memory a model of seven billion parameters needs."


@dataclass(frozen=True)
class Load:
    """What the client process is told: where, how many at once, how many answers in all, how long each."""

    target: str
    clients: int
    answers: int
    tokens: int


@dataclass(frozen=True)
class Figures:
    """What it found: seconds to the first token of each answer, tokens in all, seconds in all."""

    first: list[float]
    tokens: int
    seconds: float


# The client process


class Stream:
    """One keep-alive connection that asks again as long as answers are left."""

    def __init__(self, load: Load, selector: selectors.BaseSelector) -> None:
        self.load = load
        self.selector = selector
        self.first: list[float] = []
        self.got = b""
        self.asking = False
        self.connect()

    def connect(self) -> None:
        kind, _, place = self.load.target.partition(":")
        if kind == "unix":
            self.socket = socket.socket(socket.AF_UNIX)
            self.socket.connect(place)
        else:
            self.socket = socket.create_connection(("127.0.0.1", int(place)))
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.selector.register(self.socket, selectors.EVENT_READ, self)

    def ask(self) -> None:
        body = json.dumps(
            {
                "messages": [{"role": "user", "content": PROMPT}],
                "max_tokens": self.load.tokens,
                "ignore_eos": True,
                "temperature": 0,
                "stream": True,
            }
        ).encode()
        length = f"Content-Length: {len(body)}\r\n\r\n"
        head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: bench\r\nContent-Type: application/json\r\n{length}"
        self.got = b""
        self.seen = False
        self.asking = True
        self.asked = time.perf_counter()
        self.socket.sendall(head.encode() + body)

    def read(self) -> bool:
        """Take what came; True when the answer is complete."""
        data = self.socket.recv(1 << 16)
        if not data:
            return self.closed()
        if not self.got and not data.startswith(b"HTTP/1.1 200"):
            raise SystemExit(f"not an answer: {data[:500]!r}")
        if not self.seen and b"data: " in data:
            self.seen = True
            self.first.append(time.perf_counter() - self.asked)
        self.got = (self.got + data)[-16:]
        self.asking = not self.got.endswith(b"\r\n0\r\n\r\n")
        return not self.asking

    def closed(self) -> bool:
        """The server let go of a resting connection, perhaps just when it was asked: the next one takes its place."""
        self.selector.unregister(self.socket)
        self.socket.close()
        if self.asking and self.got:
            raise SystemExit("the server closed the connection in mid-answer")
        self.connect()
        if self.asking:
            asked = self.asked
            self.ask()
            self.asked = asked
        return False


def client(load: Load) -> Figures:
    """Run the load; counts what arrives and does nothing else."""
    selector = selectors.DefaultSelector()
    streams = [Stream(load, selector) for _ in range(load.clients)]
    left, running = load.answers, 0
    began = time.perf_counter()
    for stream in streams:
        stream.ask()
        left, running = left - 1, running + 1
    while running:
        for key, _ in selector.select():
            if key.data.read():
                running -= 1
                if left > 0:
                    key.data.ask()
                    left, running = left - 1, running + 1
    seconds = time.perf_counter() - began
    return Figures([one for each in streams for one in each.first], load.answers * load.tokens, seconds)


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


def measure(target: str, clients: int, answers: int, tokens: int) -> Figures:
    load = Load(target, clients, answers, tokens)
    command = [sys.executable, __file__, "--client", json.dumps(asdict(load))]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, timeout=600)
    return Figures(**json.loads(done.stdout))


def rounds(ways: dict[str, str], gateway: psutil.Process, count: int, tokens: int) -> dict[str, Any]:
    """`count` rounds of everything, both ways in changing order. `own` is the gateway's processor seconds a token."""
    found: dict[str, Any] = {
        "first": {way: [] for way in ways},
        "rate": {clients: {way: [] for way in ways} for clients in STREAMS},
        "own": {clients: [] for clients in STREAMS},
    }
    for way in ways.values():
        measure(way, 8, 16, tokens)
    for number in range(count):
        order = list(ways) if number % 2 else list(reversed(ways))
        for way in order:
            found["first"][way] += measure(ways[way], 1, 40, 8).first
        for clients in STREAMS:
            for way in order:
                before = sum(gateway.cpu_times()[:2])
                figures = measure(ways[way], clients, clients * 4, tokens)
                found["rate"][clients][way].append(figures.tokens / figures.seconds)
                if way == "penjing":
                    found["own"][clients].append((sum(gateway.cpu_times()[:2]) - before) / figures.tokens)
        print(f"round {number + 1} of {count}", file=sys.stderr, flush=True)
    return found


def percentile(values: list[float], share: float) -> float:
    return sorted(values)[min(int(len(values) * share), len(values) - 1)]


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


def facts(model: str, count: int) -> dict[str, object]:
    """What the figures depend on, for the heading."""
    from penjing.probe.machine import read

    found = read()
    memory = f"{found.memory_total / 1e9:.0f} GB"
    name = Path(model).stem
    return {"model": name, "rounds": count, "cpu": found.cpu, "cores": found.physical_cores, "memory": memory}


TITLES = {"en": "# Performance\n", "zh": "# 性能\n"}
HEADINGS = {
    "en": "`python bench/serve.py`: straight to the engine's socket against through penjing; {model}, {rounds} rounds, "
    "{cpu}, {cores} cores, {memory}. The last column is the difference, or the ratio of each round's pair (median, "
    "range).",
    "zh": "`python bench/serve.py`：直接连引擎的套接字与经过 penjing 的对比；{model}，{rounds} 轮，"
    "{cpu}，{cores} 核，{memory}。最后一列是差值，或每轮一对结果之比（中位数与范围）。",
}


def write(text: str, told: dict[str, object]) -> None:
    """Replace the part between the markers in both pages; append it where there is none."""
    from penjing.files import write_whole

    for language, heading in HEADINGS.items():
        page = ROOT / "docs" / language / "performance.md"
        old = page.read_text(encoding="utf-8") if page.exists() else TITLES[language]
        part = f"{BEGIN}\n{heading.format(**told)}\n\n{text}\n{END}"
        before, mark, rest = old.partition(BEGIN)
        whole = f"{before}{part}{rest.partition(END)[2]}" if mark else f"{old}\n{part}\n"
        write_whole(page, whole.encode())


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="guide", help="a .gguf, or a name penjing knows")
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--tokens", type=int, default=128, help="length of each answer")
    parser.add_argument("--write", action="store_true", help="put the tables into the docs")
    parser.add_argument("--client", help=argparse.SUPPRESS)
    parser.add_argument("--server", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.client:
        print(json.dumps(asdict(client(Load(**json.loads(given.client))))))
        return 0
    if given.server:
        server(given.server, max(STREAMS))
        return 0
    process = subprocess.Popen([sys.executable, __file__, "--server", given.model], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        ways = json.loads(process.stdout.readline())
        text = table(rounds(ways, psutil.Process(process.pid), given.rounds, given.tokens))
    finally:
        process.terminate()
        process.wait(30)
    print(text)
    if given.write:
        write(text, facts(given.model, given.rounds))
    return 0


if __name__ == "__main__":
    sys.exit(main())
