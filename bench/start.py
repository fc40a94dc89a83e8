"""How long a person waits: from a cold `penjing chat` to the first character, and from a killed engine to a ready one.

    python bench/start.py [--model PATH] [--runs 7] [--json]

Every run is a new process; the file of the model is in the page cache after the first. Reported: medians and the
slowest, in milliseconds, of
    help      `penjing --help` to its end
    chat      `penjing chat -p` to its first character (interpreter, imports, engine, prefill)
    worker    the engine's worker alone: spawned to ready
    penjing   the worker of penjing's scheduler: the same
    restart   `kill -9` of the worker to ready again, through the supervisor
and the processor time of `chat`, all its processes together.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import resource
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from importlib import resources
from pathlib import Path

from penjing.engines.llamacpp import EngineOptions, LlamaCpp
from penjing.engines.llamacpp.engine import placed
from penjing.engines.llamacpp.prepare import prepare
from penjing.engines.llamacpp.process import Process
from penjing.operate.supervise import Patience, Supervised

PENJING = (sys.executable, "-m", "penjing")
QUESTION = "What is a KV cache?"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", type=Path, default=Path(str(resources.files("penjing") / "data/guide/guide.gguf")))
    parser.add_argument("--runs", type=int, default=7)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as home:
        os.environ["PENJING_HOME"] = home
        found = measure(given.model, given.runs)
    if given.json:
        print(json.dumps(found, indent=2))
        return
    print(f"{platform.processor() or platform.machine()}, {os.cpu_count()} CPUs, load {os.getloadavg()[0]:.1f}")
    for name, values in found.items():
        print(f"{name:<10}{statistics.median(values):>8.0f} ms median{max(values):>8.0f} ms slowest")


def measure(model: Path, runs: int) -> dict[str, list[float]]:
    """Milliseconds of every run of every measurement."""
    used: list[float] = []

    def chat() -> float:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        waited = first_character(model)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        used.append(1e3 * (after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime))
        return waited

    jobs: dict[str, Callable[[], float]] = {
        "help": whole_help,
        "chat": chat,
        "worker": lambda: asyncio.run(worker_ready(model)),
        "penjing": lambda: asyncio.run(worker_ready(model, EngineOptions(scheduler="penjing"))),
        "restart": lambda: asyncio.run(back_again(model)),
    }
    for job in jobs.values():
        job()  # page cache and byte code
    used.clear()
    found: dict[str, list[float]] = {name: [] for name in jobs}
    for _ in range(runs):  # in turns, so that a busy moment does not hit one of them alone
        for name, job in jobs.items():
            found[name].append(1e3 * job())
    return {**found, "chat, CPU": used}


def whole_help() -> float:
    """Seconds of `penjing --help`."""
    began = time.perf_counter()
    subprocess.run((*PENJING, "--help"), check=True, capture_output=True)
    return time.perf_counter() - began


def first_character(model: Path) -> float:
    """Seconds from a cold `penjing chat` to the first character of its answer."""
    began = time.perf_counter()
    command = (*PENJING, "chat", str(model), "-p", QUESTION)
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as child:
        assert child.stdout is not None
        read = os.read(child.stdout.fileno(), 1)
        waited = time.perf_counter() - began
        child.stdout.read()
    if not read or child.returncode:
        raise SystemExit(f"penjing chat failed: exit status {child.returncode}")
    return waited


async def worker_ready(model: Path, options: EngineOptions | None = None) -> float:
    """Seconds from the worker's start to its word that it is ready."""
    settings = prepare(model, "bench", options or EngineOptions()).settings
    process = Process(settings)
    process.settings = placed(settings, process.folder)
    began = time.perf_counter()
    await process.start(lambda said: None)
    waited = time.perf_counter() - began
    await process.stop()
    return waited


async def back_again(model: Path) -> float:
    """Seconds from `kill -9` of the worker until it is ready again."""
    engine = LlamaCpp(model, "bench")
    back = asyncio.Event()
    one = Supervised(engine, Patience(), lambda change: back.set() if change.state == "ready" else None)
    await one.start()
    back.clear()
    began = time.perf_counter()
    os.kill(engine.pid, signal.SIGKILL)
    await back.wait()
    waited = time.perf_counter() - began
    await one.stop()
    return waited


if __name__ == "__main__":
    main()
