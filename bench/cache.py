"""How long a kept answer takes: a real `penjing serve` with the guide, the same question again and again.

    python bench/cache.py [--answers 5000] [--write]

Goal: p99 under 3 ms from request to the end of the answer, alone and with 8 clients, whole and streamed. Beside it the
same question to the same server where it may not be kept (`Cache-Control: no-store`), so that what the cache saves can
be seen. Rounds alternate; medians over rounds, with the spread.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import page
from load import PROMPT, Load, measure, percentile

ROUNDS = 5
ENGINE = 16
"""Answers of the engine in each round."""
BODY: dict[str, Any] = {"messages": [{"role": "user", "content": PROMPT}], "temperature": 0, "max_tokens": 64}


@contextmanager
def serving() -> Iterator[int]:
    """A server with the cache switched on; its port."""
    with tempfile.TemporaryDirectory() as home:
        Path(home, "config.toml").write_text("[cache]\nenabled = true\n", encoding="utf-8")
        command = [sys.executable, "-m", "penjing", "serve", "guide", "--port", "0", "--max-context", "1024"]
        environment = {**os.environ, "PENJING_HOME": home, "PENJING_LANGUAGE": "en"}
        server = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment, cwd=home)
        assert server.stderr is not None
        try:
            for line in server.stderr:
                if ready := re.search(r"Ready\..*:(\d+)/v1", line):
                    yield int(ready[1])
                    break
            else:
                raise RuntimeError("the server did not start")
        finally:
            server.terminate()
            server.wait()
            server.stderr.close()


def times(port: int, answers: int, clients: int, stream: bool, kept: bool) -> list[float]:
    """Seconds to the end of each answer."""
    headers = {} if kept else {"Cache-Control": "no-store"}
    return measure(Load(f"tcp:{port}", clients, answers, body={**BODY, "stream": stream}, headers=headers)).whole


def said(port: int) -> str:
    """What the cache says of the question."""
    body = json.dumps(BODY).encode()
    url = f"http://127.0.0.1:{port}/v1/chat/completions"
    request = urllib.request.Request(url, body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request) as answer:
        return str(answer.headers["x-penjing-cache"])


def row(port: int, answers: int, clients: int, stream: bool) -> str:
    """One line of the table: hits and, alternating with them, the engine's own answers."""
    hits, own = [], []
    for _ in range(ROUNDS):
        hits.append(times(port, answers // ROUNDS, clients, stream, kept=True))
        own.append(times(port, ENGINE, clients, stream, kept=False))
    middle, tail = ([percentile(each, share) * 1e3 for each in hits] for share in (0.5, 0.99))
    engine = statistics.median(percentile(each, 0.5) * 1e3 for each in own)
    form = "stream" if stream else "whole"
    spread = f"{statistics.median(tail):.2f} ms ({min(tail):.2f} … {max(tail):.2f})"
    return f"| {clients} × {form} | {statistics.median(middle):.2f} ms | {spread} | {engine:.0f} ms |"


HEADINGS = {
    "en": "`python bench/cache.py`: a kept answer through a real server, from request to its end; the last "
    "column is the same answer from the engine. {rounds} rounds of {answers} answers, {cpu}, {cores} cores, {memory}.",
    "zh": "`python bench/cache.py`：经真实服务器返回缓存的回答，从请求到回答结束；最后一列是引擎给出的同一回答。"
    "{rounds} 轮，每轮 {answers} 个回答，{cpu}，{cores} 核，{memory}。",
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--answers", type=int, default=5000, help="of each line of the table, in all rounds")
    parser.add_argument("--write", action="store_true", help="put the table into the docs")
    options = parser.parse_args()
    lines = ["| | hit p50 | hit p99 | engine |", "|---|---|---|---|"]
    with serving() as port:
        said(port)
        time.sleep(0.1)  # it is written by a thread of its own
        if said(port) != "hit":
            sys.exit("the answer was not kept")
        lines += [row(port, options.answers, clients, stream) for clients in (1, 8) for stream in (False, True)]
    text = "\n".join(lines)
    print(text)
    if options.write:
        told = {**page.machine(), "rounds": ROUNDS, "answers": options.answers // ROUNDS}
        page.write("bench/cache.py", {each: f"{HEADINGS[each].format(**told)}\n\n{text}" for each in HEADINGS})


if __name__ == "__main__":
    main()
