"""What penjing's gateway costs beside the LiteLLM proxy and the Portkey gateway, in one run, taking turns.

    python bench/gateway.py [--peers litellm,portkey] [--parts saturation,latency,memory,held] [--rounds 3] [--quick]

The same fake upstream in a process of its own (`bench/upstream.py`), one core for the gateway, another for upstream and
load (`bench/load.py`); straight to the upstream is measured as well, and how busy that other core is, so that one sees
they are not the limit. penjing runs with keys, metrics and the audit log on. Reported, not streaming and streaming
(32 events, 10 ms apart):

    saturation   answers a second with one core busy, and answers a second of processor time; ratio of each round's pair
    latency      what is added to the whole answer, or to the first event, at 100 and 500 questions a second
    memory       resident megabytes after 100,000 questions, and what the second half of them added
    held         1,000 slow streams at once

`--json` prints figures as JSON, `--write` puts the tables into docs/en and docs/zh/performance.md.
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import psutil

import page
import peers
from load import PROMPT, Figures, Load, measure, percentile, pinned, spent
from peers import Gateway

EVENTS, PACE = 32, 10
RATES = (100, 500)
MESSAGES = [
    {"role": "system", "content": "You are a helpful assistant."},
    {"role": "user", "content": PROMPT * 10},
]
STREAMS = {"penjing": 1000, "portkey": 256, "direct": 1000}
"""Streams at once that keep a core busy; 64 for the rest, whose answers would take minutes otherwise."""
CLIENTS = 64
OVERRUN = 500.0
"""Milliseconds: a gateway that takes so long in the mean is not keeping up, its figures only grow with the time."""
PARTS = ("saturation", "latency", "memory", "held")
GROWTH = 4.0
"""Megabytes that the second half of the questions may add and still be called none: what an allocator keeps at hand."""


@dataclass(frozen=True)
class Size:
    """How much of everything. Seconds of one measurement; questions for memory (of peers: a hundredth)."""

    rounds: int = 3
    seconds: float = 4.0
    rated: float = 6.0
    questions: int = 100_000
    held: int = 1000


@dataclass
class Bench:
    """Everything that runs, and what was found."""

    gateways: list[Gateway]
    upstream: psutil.Process
    size: Size
    load_cores: tuple[int, ...]
    found: dict[str, Any] = field(default_factory=dict)

    def ask(self, gateway: Gateway, **load: Any) -> Figures:
        """One measurement at `gateway`."""
        stream = load.pop("stream", False)
        body = {
            "model": gateway.model,
            "messages": MESSAGES,
            "max_tokens": load.pop("events", EVENTS),
            "seed": load.pop("pace", PACE),
        }
        if stream:
            body["stream"] = True
        return measure(Load(gateway.target, body=body, headers=gateway.headers, cores=self.load_cores, **load))

    def order(self, number: int) -> list[Gateway]:
        return self.gateways[number % len(self.gateways) :] + self.gateways[: number % len(self.gateways)]

    # the parts

    def saturation(self) -> None:
        rows: dict[str, dict[str, list[dict[str, float]]]] = {"whole": {}, "stream": {}}
        for number in range(self.size.rounds):
            for kind, row in rows.items():
                for gateway in self.order(number):
                    row.setdefault(gateway.name, []).append(self.saturated(gateway, kind == "stream"))
            say(f"saturation: round {number + 1} of {self.size.rounds}")
        self.found["saturation"] = rows

    def saturated(self, gateway: Gateway, stream: bool) -> dict[str, float]:
        clients = STREAMS.get(gateway.name, CLIENTS) if stream else CLIENTS
        began, worked = gateway.spent, spent(self.upstream)
        figures = self.ask(gateway, stream=stream, clients=clients, answers=10_000_000, seconds=self.size.seconds)
        used = gateway.spent - began
        other = spent(self.upstream) - worked + figures.own
        return {
            "rate": figures.rate,
            "per_core": len(figures.whole) / used if used else float("nan"),
            "busy": used / figures.seconds,
            "other": other / figures.seconds,
            "failed": sum(figures.failed.values()),
        }

    def latency(self) -> None:
        rows: dict[str, list[dict[str, float]]] = {}
        for number in range(self.size.rounds):
            for gateway in self.order(number):
                for rate in RATES:
                    for stream in (False, True):
                        row = rows.setdefault(f"{gateway.name}/{'stream' if stream else 'whole'}/{rate}", [])
                        if not row or row[0]["p50"] < OVERRUN:  # what cannot keep up is shown once
                            row.append(self.rated(gateway, rate, stream))
            say(f"latency: round {number + 1} of {self.size.rounds}")
        self.found["latency"] = rows

    def rated(self, gateway: Gateway, rate: int, stream: bool) -> dict[str, float]:
        """Streams without pauses, so that as many questions are under way as without streaming."""
        answers = int(rate * self.size.rated)
        figures = self.ask(gateway, stream=stream, rate=float(rate), clients=8, answers=answers, events=8, pace=0)
        times = figures.first if stream else figures.whole
        row = {f"p{share * 100:.0f}": percentile(times, share) * 1e3 for share in (0.5, 0.99)}
        return {**row, "failed": sum(figures.failed.values()), "most": figures.most}

    def memory(self) -> None:
        rows = {}
        for gateway in self.gateways:
            if gateway.process is None:
                continue
            questions = self.size.questions if gateway.name == "penjing" else self.size.questions // 100
            sizes = [gateway.memory]
            for _ in range(10):
                self.ask(gateway, clients=CLIENTS, answers=questions // 10, seconds=600.0)
                sizes.append(gateway.memory)
            rows[gateway.name] = {"questions": questions, "megabytes": sizes}
        self.found["memory"] = rows
        say("memory: done")

    def held(self) -> None:
        """Twenty seconds of streams, an event every half a second each."""
        rows = {}
        for gateway in self.gateways:
            began = gateway.spent
            figures = self.ask(
                gateway,
                stream=True,
                clients=self.size.held,
                answers=self.size.held,
                events=40,
                pace=500,
                seconds=120.0,
            )
            rows[gateway.name] = {
                "most": figures.most,
                "complete": len(figures.whole),
                "failed": figures.failed,
                "first_p50": percentile(figures.first, 0.5) * 1e3,
                "first_p99": percentile(figures.first, 0.99) * 1e3,
                "cpu": (gateway.spent - began) / figures.seconds,
                "megabytes": gateway.memory,
            }
        self.found["held"] = rows
        say("held: done")


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


# The tables


def tables(found: dict[str, Any]) -> str:
    """Markdown, the same in both languages: names, figures, units."""
    makers: dict[str, Callable[[Any], list[str]]] = {
        "saturation": saturation_table,
        "latency": latency_table,
        "memory": memory_table,
        "held": held_table,
    }
    return "\n\n".join("\n".join(makers[part](found[part])) for part in PARTS if part in found)


def spread(values: list[float], form: str = ".0f") -> str:
    return f"{statistics.median(values):{form}} ({min(values):{form}} … {max(values):{form}})"


def saturation_table(rows: Any) -> list[str]:
    lines = ["| saturation | answers/s | answers/CPU s | gateway CPU | upstream + load CPU | penjing : it | failed |"]
    lines += ["|---|---|---|---|---|---|---|"]
    for kind, row in rows.items():
        for name, rounds in row.items():
            column = {key: [each[key] for each in rounds] for key in rounds[0]}
            busy, other = (f"{statistics.median(column[key]):.0%}" for key in ("busy", "other"))
            own, ratio = spread(column["per_core"]), "-"
            if name == "direct":
                own = busy = "-"
            elif name != "penjing":
                pairs = zip(row["penjing"], rounds, strict=True)
                ratio = spread([ours["rate"] / theirs["rate"] for ours, theirs in pairs], ".1f")
            line = (f"{name}, {kind}", spread(column["rate"]), own, busy, other, ratio, f"{sum(column['failed']):.0f}")
            lines.append(f"| {' | '.join(line)} |")
    return lines


def latency_table(rows: Any) -> list[str]:
    lines = ["| latency | p50 | p99 | added p50 | added p99 | most at once | failed |", "|---|---|---|---|---|---|---|"]
    for name, rounds in rows.items():
        gateway, kind, rate = name.split("/")
        plain = rows[f"direct/{kind}/{rate}"]
        column = {key: [each[key] for each in rounds] for key in rounds[0]}
        added = [
            spread([ours[share] - theirs[share] for ours, theirs in zip(rounds, plain, strict=False)], ".2f") + " ms"
            for share in ("p50", "p99")
        ]
        seen = [f"{statistics.median(column[share]):.2f} ms" for share in ("p50", "p99")]
        what = "first event" if kind == "stream" else "whole answer"
        line = (f"{gateway}, {what}, {rate}/s", *seen, *(added if gateway != "direct" else ("-", "-")))
        lines.append(f"| {' | '.join(line)} | {max(column['most']):.0f} | {sum(column['failed']):.0f} |")
    return lines


def memory_table(rows: Any) -> list[str]:
    lines = ["| memory | questions | at the start | half way | at the end | second half |", "|---|---|---|---|---|---|"]
    for name, row in rows.items():
        sizes = row["megabytes"]
        start, half, end = sizes[0], sizes[len(sizes) // 2], sizes[-1]
        line = (name, f"{row['questions']:,}", *(f"{size:.0f} MB" for size in (start, half, end)))
        lines.append(f"| {' | '.join(line)} | {end - half:+.1f} MB |")
    return lines


def held_table(rows: Any) -> list[str]:
    lines = ["| slow streams | at once | complete | first p50 | first p99 | gateway CPU | memory |"]
    lines += ["|---|---|---|---|---|---|---|"]
    for name, row in rows.items():
        seen = [f"{row[key]:.1f} ms" for key in ("first_p50", "first_p99")]
        own = (f"{row['cpu']:.0%}", f"{row['megabytes']:.0f} MB") if name != "direct" else ("-", "-")
        lines.append(f"| {' | '.join((name, str(row['most']), str(row['complete']), *seen, *own))} |")
    return lines


# The goals


def goals(found: dict[str, Any]) -> list[str]:
    """What was aimed at, what was reached."""
    return [*saturation_goals(found), *latency_goals(found), *memory_goals(found)]


def verdict(what: str, reached: float, wanted: float, most: bool, unit: str) -> str:
    fine = reached <= wanted if most else reached >= wanted
    return f"{what}: {reached:.2f}{unit}, goal {'≤' if most else '≥'} {wanted:g}{unit}: {'met' if fine else 'NOT MET'}"


def saturation_goals(found: dict[str, Any]) -> Iterator[str]:
    for kind, row in found.get("saturation", {}).items():
        if "litellm" in row:
            pairs = zip(row["penjing"], row["litellm"], strict=True)
            ratio = statistics.median(ours["per_core"] / theirs["per_core"] for ours, theirs in pairs)
            yield verdict(f"answers a second and core, times LiteLLM's ({kind})", ratio, 10, False, "×")


def latency_goals(found: dict[str, Any]) -> Iterator[str]:
    rows = found.get("latency", {})
    for kind in ("whole", "stream") if rows else ():
        for share, wanted in (("p50", 0.7), ("p99", 3.0)):
            pairs = zip(rows[f"penjing/{kind}/500"], rows[f"direct/{kind}/500"], strict=True)
            added = statistics.median(ours[share] - plain[share] for ours, plain in pairs)
            yield verdict(f"added {share} at 500 questions a second ({kind})", added, wanted, True, " ms")


def memory_goals(found: dict[str, Any]) -> Iterator[str]:
    sizes = found.get("memory", {}).get("penjing", {}).get("megabytes")
    if sizes:
        yield verdict("memory", max(sizes), 120, True, " MB")
        yield verdict("growth over the second half", sizes[-1] - sizes[len(sizes) // 2], GROWTH, True, " MB")


# The run


@contextmanager
def running(names: list[str], size: Size) -> Iterator[Bench]:
    """The upstream, penjing and the peers `names`, all started."""
    cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
    own, others = cores[:1], tuple(cores[1:2] or cores)
    command = [sys.executable, str(Path(__file__).parent / "upstream.py")]
    upstream = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, preexec_fn=pinned(others))
    assert upstream.stdout is not None
    port = int(upstream.stdout.readline())
    gateways = [Gateway("direct", f"tcp:{port}")]
    with tempfile.TemporaryDirectory() as folder:
        try:
            for start in (peers.penjing, *(peers.PEERS[name] for name in names)):
                gateways.append(start(port, free_port(), Path(folder), own))
                peers.wait(gateways[-1], Path(folder))
                say(f"{gateways[-1].name} runs")
            yield Bench(gateways, psutil.Process(upstream.pid), size, others)
            require_audit(Path(folder))
        finally:
            for gateway in gateways:
                peers.end(gateway)
            upstream.terminate()
            upstream.wait(10)


def require_audit(folder: Path) -> None:
    """Say so where penjing kept no audit log: the figures would be another server's."""
    if not any(path.stat().st_size for path in folder.rglob("audit/**/*") if path.is_file()):
        raise SystemExit("penjing wrote no audit log")


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


HEADINGS = {
    "en": "## The gateway beside others\n\n`python bench/gateway.py`: a fake upstream, one core for the gateway, one "
    "for upstream and load; {rounds} rounds, {cpu}, {cores} cores, {memory}. Medians, with the range of the rounds. "
    "penjing with keys, metrics and audit log; {versions}.",
    "zh": "## 网关与其他软件的比较\n\n`python bench/gateway.py`：虚拟上游，网关占一个核，上游与负载占另一个；"
    "{rounds} 轮，{cpu}，{cores} 核，{memory}。数值为中位数与各轮范围。"
    "penjing 开启了密钥、指标与审计日志；{versions}。",
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peers", default="litellm,portkey", help=f"none, or of {','.join(peers.PEERS)}")
    parser.add_argument("--parts", default=",".join(PARTS))
    parser.add_argument("--rounds", type=int, default=Size.rounds)
    parser.add_argument("--quick", action="store_true", help="a fifth of everything, to see that it runs")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--write", action="store_true", help="put the tables into the docs")
    given = parser.parse_args()
    names = [] if given.peers == "none" else given.peers.split(",")
    parts = given.parts.split(",")
    if unknown := {*names} - {*peers.PEERS} | {*parts} - {*PARTS}:
        parser.error(f"unknown: {', '.join(sorted(unknown))}")
    size = Size(1, 2.0, 2.0, 20_000, 200) if given.quick else Size(given.rounds)
    with running(names, size) as bench:
        for part in parts:
            getattr(bench, part)()
    told = {**page.machine(), "rounds": size.rounds, "versions": f"{peers.LITELLM}, {peers.PORTKEY_NAME}"}
    text = tables(bench.found)
    if given.json:
        print(json.dumps({**told, "size": asdict(size), **bench.found, "goals": goals(bench.found)}, indent=2))
    else:
        print("\n".join((text, "", *goals(bench.found))))
    if given.write:
        page.write("bench/gateway.py", {each: f"{HEADINGS[each].format(**told)}\n\n{text}" for each in HEADINGS})
    return 0


if __name__ == "__main__":
    sys.exit(main())
