"""A load on an HTTP server that speaks OpenAI's dialect: the lightest client there is, in a process of its own.

    python bench/load.py '{"target": "tcp:8000", "clients": 8, "answers": 1000}'

A select loop over raw sockets that counts what arrives and does nothing else. Closed (each client asks again when its
answer is complete) where `rate` is 0; open otherwise: questions leave at random moments, `rate` a second in the mean,
whether or not earlier ones were answered, so that a server that falls behind shows it.
"""

from __future__ import annotations

import json
import random
import re
import selectors
import socket
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import psutil

LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
END = b"\r\n0\r\n\r\n"
TAIL = 48
OPEN_CLIENTS = 900
"""Connections of an open load at most (select.select takes 1,023 descriptors): beyond, the server is overrun."""
STARTS = 100
"""New answers of a closed load in one turn at the start, so that a thousand do not come in one burst."""
PROMPT = "Tell me how much memory a model of seven billion parameters needs."


@dataclass(frozen=True)
class Load:
    """`target` is `tcp:PORT` or `unix:PATH`. `answers` in all; `body` is sent as JSON with each question. `pause`:
    seconds between the starts of the first `clients` questions of a closed load. `seconds`: after that no new ones."""

    target: str
    clients: int = 1
    answers: int = 1
    rate: float = 0.0
    body: dict[str, Any] = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)
    path: str = "/v1/chat/completions"
    seconds: float = 60.0
    cores: tuple[int, ...] = ()


@dataclass(frozen=True)
class Figures:
    """Seconds to the first event (streams only) and to the end of each answer, what went wrong and how often, seconds
    in all, processor seconds of the client, the most answers that were under way at once."""

    first: list[float]
    whole: list[float]
    failed: dict[str, int]
    seconds: float
    own: float
    most: int

    @property
    def rate(self) -> float:
        """Complete answers a second."""
        return len(self.whole) / self.seconds


def measure(load: Load) -> Figures:
    """Run `load` in a process of its own."""
    command = [sys.executable, __file__, json.dumps(asdict(load))]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, timeout=load.seconds + 120)
    return Figures(**json.loads(done.stdout))


def question(load: Load) -> bytes:
    """The bytes of one request."""
    body = json.dumps(load.body).encode()
    headers = {"Host": "bench", "Content-Type": "application/json", **load.headers, "Content-Length": len(body)}
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return f"POST {load.path} HTTP/1.1\r\n{lines}\r\n".encode() + body


class Client:
    """One keep-alive connection, one question at a time."""

    def __init__(self, run: Run) -> None:
        self.run = run
        self.asking = False
        self.connect()

    def connect(self) -> None:
        kind, _, place = self.run.load.target.partition(":")
        if kind == "unix":
            self.socket = socket.socket(socket.AF_UNIX)
            self.socket.connect(place)
        else:
            self.socket = socket.create_connection(("127.0.0.1", int(place)))
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.run.selector.register(self.socket, selectors.EVENT_READ, self)

    def ask(self) -> None:
        self.got = self.left = 0
        self.tail = b""
        self.asking = True
        self.asked = self.first = time.perf_counter()
        self.socket.sendall(self.run.question)

    def read(self) -> bool:
        """Take what came; True when the answer is over, well or not."""
        try:
            data = self.socket.recv(1 << 16)
        except ConnectionError:
            data = b""
        if not data:
            return self.closed()
        if not self.got:
            self.head(data)
        elif self.first == self.asked and b"data: " in data:
            self.first = time.perf_counter()
        self.got += len(data)
        if self.left:
            return self.got >= self.left and self.over()
        self.tail = (self.tail + data)[-TAIL:]
        return self.tail.endswith(END) and self.over()

    def head(self, data: bytes) -> None:
        self.status = data[9:12]
        if b"data: " in data:
            self.first = time.perf_counter()
        end = data.find(b"\r\n\r\n")
        found = LENGTH.search(data, 0, end + 2)
        self.left = end + 4 + int(found[1]) if found else 0

    def over(self) -> bool:
        self.asking = False
        if self.status != b"200":
            self.run.fail(f"status {self.status.decode()}")
        elif not self.left and b"[DONE]" not in self.tail:
            self.run.fail("a stream without an end")
        else:
            self.run.whole.append(time.perf_counter() - self.asked)
            if self.first > self.asked:
                self.run.first.append(self.first - self.asked)
        return True

    def closed(self) -> bool:
        """The server let go of the connection: the next one takes its place."""
        self.run.selector.unregister(self.socket)
        self.socket.close()
        self.connect()
        if not self.asking:
            return False
        if self.got:
            self.asking = False
            self.run.fail("closed in mid-answer")
            return True
        asked = self.asked  # perhaps just when it was asked: asked again, and the time goes on
        self.ask()
        self.asked = self.first = asked
        return False


class Run:
    """One load being run."""

    def __init__(self, load: Load) -> None:
        self.load = load
        self.question = question(load)
        # select takes its time-out in microseconds, epoll in milliseconds: too coarse for random moments.
        self.selector = selectors.SelectSelector() if load.rate else selectors.DefaultSelector()
        self.first: list[float] = []
        self.whole: list[float] = []
        self.failed: dict[str, int] = {}
        self.most = 0

    def fail(self, what: str) -> None:
        self.failed[what] = self.failed.get(what, 0) + 1

    def figures(self) -> Figures:
        began, worked = time.perf_counter(), time.process_time()
        if self.load.rate:
            self.open(began)
        else:
            self.closed(began)
        seconds, own = time.perf_counter() - began, time.process_time() - worked
        return Figures(self.first, self.whole, self.failed, seconds, own, self.most)

    def closed(self, began: float) -> None:
        clients = [Client(self) for _ in range(min(self.load.clients, self.load.answers))]
        fresh, left, running = deque(clients), self.load.answers, 0
        while fresh or running:
            for _ in range(min(STARTS, len(fresh))):
                fresh.popleft().ask()
                left, running = left - 1, running + 1
            self.most = max(self.most, running)
            for client in self.ready(0 if fresh else None):
                if not client.read():
                    continue
                running -= 1
                if left > 0 and time.perf_counter() - began < self.load.seconds:
                    client.ask()
                    left, running = left - 1, running + 1

    def open(self, began: float) -> None:
        chance = random.Random(1)
        idle = [Client(self) for _ in range(self.load.clients)]
        left, running, due = self.load.answers, 0, began
        while left or running:
            now = time.perf_counter()
            while left and now >= due:
                due += chance.expovariate(self.load.rate)
                left -= 1
                if not idle and running >= OPEN_CLIENTS:
                    self.fail("overrun")
                    continue
                client = idle.pop() if idle else Client(self)
                client.ask()
                running += 1
                self.most = max(self.most, running)
            wait = max(due - time.perf_counter(), 0) if left else None
            for client in self.ready(wait):
                if client.read():
                    running -= 1
                    idle.append(client)

    def ready(self, wait: float | None) -> Iterable[Client]:
        return [key.data for key, _ in self.selector.select(wait)]


def percentile(values: list[float], share: float) -> float:
    """The value that `share` of all do not exceed; NaN where there is none."""
    return sorted(values)[min(int(len(values) * share), len(values) - 1)] if values else float("nan")


def spent(process: psutil.Process) -> float:
    """Processor seconds of all its threads; where Linux tells, in nanoseconds rather than in hundredths of a second."""
    try:
        tasks = Path(f"/proc/{process.pid}/task").iterdir()
        return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks) / 1e9
    except (OSError, IndexError):
        return sum(process.cpu_times()[:2])


def pinned(cores: Iterable[int]) -> Callable[[], None] | None:
    """For `preexec_fn`: the process may run on these cores only; None where nothing is to be pinned."""
    import os

    wanted = set(cores)
    return (lambda: os.sched_setaffinity(0, wanted)) if wanted and hasattr(os, "sched_setaffinity") else None


if __name__ == "__main__":
    given = Load(**json.loads(sys.argv[1]))
    pin = pinned(given.cores)
    if pin is not None:
        pin()
    print(json.dumps(asdict(Run(given).figures())))
