"""What an upgrade costs whoever is being answered: time to first token while versions change, against a quiet time.

    python bench/upgrade.py [--upgrades 50] [--clients 16] [--write]

A real `penjing serve` with a version of the built-in model from a store of its own; `penjing release promote` lets the
other version out, again and again, while so many clients stream. Quiet spells and upgrades take turns. Every answer is
whole and of one version (the second one writes four words in capitals), or the run fails. Reported: TTFT p50 and p99 of
what was asked during an upgrade and of what was asked in quiet, their ratio, in rounds of ten upgrades: median, range.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

import page
from penjing.engines.engine import Address
from penjing.operate.measure.figures import ratio, spread
from penjing.operate.measure.sample import Sample, sample
from penjing.operate.measure.wire import Connection, events, request

sys.path.insert(0, str(page.ROOT / "tests"))
from second_guide import version_of, write_second_guide  # type: ignore[import-not-found]  # tests are not checked

QUIET = 1.5
"""Seconds without an upgrade between two."""
ROUND = 10
QUESTIONS = (
    "What is quantization?",
    "What is pruning?",
    "What is a KV cache?",
    "What is LoRA?",
    "What is distillation?",
)
ANSWER = 48


@dataclass
class Run:
    """One server, its clients and what they saw. `spans` are the moments an upgrade began and was over."""

    address: Address
    samples: list[Sample] = field(default_factory=list)
    spans: list[tuple[float, float]] = field(default_factory=list)
    seen: set[int] = field(default_factory=set)
    over: bool = False

    async def client(self, number: int) -> None:
        """Ask and ask again."""
        line, asked = Connection(self.address), 0
        while not self.over:
            asked += 1
            content = QUESTIONS[(number + asked) % len(QUESTIONS)]
            body = {
                "messages": [{"role": "user", "content": content}],
                "max_tokens": ANSWER,
                "temperature": 0,
                "ignore_eos": True,
                "stream": True,
            }
            heard = await line.ask(request(self.address, "/v1/chat/completions", body), 60)
            found = sample(heard)
            if found.error:
                raise SystemExit(f"an answer failed: {found.error}")
            choices = [choice for _, event in events(heard) for choice in event.get("choices", ())]
            versions = version_of("".join(choice["delta"].get("content") or "" for choice in choices))
            if len(versions) > 1:
                raise SystemExit("an answer is of both versions")
            self.seen |= versions
            self.samples.append(found)
        line.close()

    async def upgrades(self, command: list[str], count: int) -> None:
        """Let out the one and the other version; an upgrade is over when the server counted it."""
        await asyncio.sleep(QUIET)
        for number in range(count):
            began = time.perf_counter()
            promoting = await asyncio.create_subprocess_exec(
                *command, "release", "promote", f"m@{2 - number % 2}", "-q", stdout=subprocess.DEVNULL
            )
            if await promoting.wait():
                raise SystemExit("penjing release promote failed")
            while await self.counted() <= number:  # noqa: ASYNC110  # another process tells only when it is asked
                await asyncio.sleep(0.05)
            self.spans.append((began, time.perf_counter()))
            await asyncio.sleep(QUIET)
        self.over = True

    async def counted(self) -> int:
        """Upgrades so far, as /metrics says."""
        line = Connection(self.address)
        heard = await line.ask(b"GET /metrics HTTP/1.1\r\nHost: bench\r\n\r\n", 10)
        line.close()
        lines = [each for each in heard.body.decode().splitlines() if each.startswith("penjing_upgrades_total{")]
        return sum(int(float(each.rpartition(" ")[2])) for each in lines)

    def table(self) -> str:
        """Markdown, the same in both languages."""
        lines = ["| | quiet | while versions change | |", "|---|--:|--:|--:|"]
        for name in ("p50", "p99"):
            pairs = [self.pair(first, name) for first in range(0, len(self.spans), ROUND)]
            quiet, busy = ([pair[place] for pair in pairs] for place in (0, 1))
            found = ratio(busy, quiet)
            assert found is not None
            whole = spread(quiet).p50, spread(busy).p50
            shown = f"× {found.median:.2f} ({found.least:.2f} … {found.most:.2f})"
            lines.append(f"| TTFT {name} | {whole[0] * 1e3:.0f} ms | {whole[1] * 1e3:.0f} ms | {shown} |")
        return "\n".join(lines)

    def pair(self, first: int, name: str) -> tuple[float, float]:
        """TTFT in quiet and during the upgrades of one round."""
        spans = self.spans[first : first + ROUND]
        begin, end = spans[0][0] - QUIET, spans[-1][1] + QUIET
        here = [each for each in self.samples if begin <= each.asked < end]
        busy = [each.first for each in here if any(low <= each.asked < high for low, high in spans)]
        quiet = [each.first for each in here if not any(low <= each.asked < high for low, high in spans)]
        return getattr(spread(quiet), name), getattr(spread(busy), name)


async def measured(command: list[str], url: str, clients: int, upgrades: int) -> Run:
    run = Run(Address(url))
    await asyncio.gather(*map(run.client, range(clients)), run.upgrades(command, upgrades))
    if run.seen != {1, 2}:
        raise SystemExit(f"answers were of the versions {run.seen} only")
    return run


HEADINGS = {
    "en": "`python bench/upgrade.py`: {upgrades} upgrades in a row of a served model under {clients} streaming "
    "clients, {answers} answers, none failed, cut or of both versions; built-in model, {cpu}, {cores} cores, {memory}. "
    "The last column is the ratio, in rounds of ten upgrades (median, range).",
    "zh": "`python bench/upgrade.py`：{clients} 个流式客户端之下，对正在服务的模型连续升级 {upgrades} 次，"
    "共 {answers} 个回答，没有失败、中断或混杂两个版本的；内置模型，{cpu}，{cores} 核，{memory}。"
    "最后一列是比值，每十次升级为一轮（中位数与范围）。",
}


def main() -> int:
    from penjing.gateway.serve import free_port
    from penjing.store.resolve import guide

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--upgrades", type=int, default=50)
    parser.add_argument("--clients", type=int, default=16)
    parser.add_argument("--write", action="store_true", help="put the table into the docs")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="penjing-bench-") as home:
        os.environ["PENJING_HOME"] = home
        command = [sys.executable, "-m", "penjing"]
        second = write_second_guide(Path(home) / "second.gguf", guide())
        for path in (guide(), second):
            subprocess.run([*command, "store", "add", str(path), "--name", "m", "-q"], check=True)
        subprocess.run([*command, "release", "promote", "m@1", "-q"], check=True)
        port = free_port("127.0.0.1", 8300)
        serving = [
            *command,
            "serve",
            "m",
            "--port",
            str(port),
            "--parallel",
            str(given.clients),
            "--max-context",
            "256",
        ]
        server = subprocess.Popen(serving, stderr=subprocess.PIPE, text=True)
        try:
            assert server.stderr is not None
            while "Ready" not in server.stderr.readline():
                if server.poll() is not None:
                    raise SystemExit("the server did not start")
            run = asyncio.run(measured(command, f"http://127.0.0.1:{port}", given.clients, given.upgrades))
        finally:
            server.terminate()
            server.wait(60)
    print(f"{len(run.samples)} answers, {len(run.spans)} upgrades: none failed, cut or mixed")
    text = run.table()
    print(text)
    if given.write:
        told = {**page.machine(), "answers": len(run.samples), "upgrades": given.upgrades, "clients": given.clients}
        page.write("bench/upgrade.py", {each: f"{HEADINGS[each].format(**told)}\n\n{text}" for each in HEADINGS})
    return 0


if __name__ == "__main__":
    sys.exit(main())
