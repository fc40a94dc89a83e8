"""The process that measures: `python -m penjing.probe.measure --threads N --folder DIR`.

It prints one JSON object a line: `{"stage": ..., "fraction": ...}` while it works, then everything it found (see
`Calibration`). Types come in the order of their use; those for which no time is left are not in the answer.

Does not know: where the answer is kept.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from datetime import datetime, timezone
from pathlib import Path

import psutil

from penjing.probe import disk
from penjing.probe.calibrate import FEW
from penjing.probe.ggml import row_bytes
from penjing.probe.kernels import Kernels, Work
from penjing.probe.others import Others

TYPES = ("F16", "Q8_0", "Q4_K", "Q6_K", "Q4_0", "BF16", "Q5_K", "Q3_K", "Q2_K", "IQ4_XS", "MXFP4", "Q5_0")
ALWAYS = 4
"""So many types are measured however long it takes: a calibration without any would tell nothing."""
BUDGET = 9.0
"""Seconds after which no further type is begun."""
WIDTH, HEIGHT = 2048, 2048
BATCH = 512
"""Tokens at once in prefill: the engine's micro-batch."""
SIZES = (8 << 20, 32 << 20, 64 << 20, 128 << 20, 256 << 20)
"""Bytes of weights that may lie in a cache."""
LEAST, MOST = 128 << 20, 512 << 20
"""Bytes of weights for decode: twice the last cache, but within these and an eighth of the free memory."""
TRIES, ENOUGH = 3, 0.15
"""Each kernel runs at least this often and for at least so many seconds, or until PATIENCE is over."""
PATIENCE = 1.5
CALM, WAIT, WAITS = 0.15, 0.3, 12
"""A kernel is tried again where others kept more cores busy than the first, after so many seconds, so often in all."""
HEAD, HEADS, CELLS = 128, 8, 2048
"""Attention: heads of 128 numbers over 2048 cached tokens."""
CHAIN = 2000


class Bench:
    """Kernels, measured one after another. `spreads`: how much slower than its best try each one's middle try was;
    `loads`: the cores that other programs kept busy meanwhile."""

    def __init__(self, kernels: Kernels, weights: int) -> None:
        self.kernels, self.weights = kernels, weights
        self.spreads: list[float] = []
        self.loads: list[float] = []
        self._waits = WAITS

    def best(self, work: Work) -> float:
        """The seconds of its fastest run. Where other programs ran meanwhile it is tried again a little later, as long
        as there are waits left for that."""
        work.run()  # touches every page, wakes the threads
        best, cores = self._tries(work)
        while cores > CALM and self._waits:
            self._waits -= 1
            time.sleep(WAIT)
            again, cores = self._tries(work)
            best = min(best, again)
        self.loads.append(cores)
        return best

    def _tries(self, work: Work) -> tuple[float, float]:
        """Seconds of the fastest of several runs, and the cores that others kept busy."""
        others, begun, times = Others(), time.perf_counter(), [work.run()]
        while (spent := time.perf_counter() - begun) < PATIENCE and (len(times) < TRIES or spent < ENOUGH):
            times.append(work.run())
        self.spreads.append(statistics.median(times) / min(times) - 1)
        return min(times), others.cores()

    def reading(self) -> list[tuple[int, float]]:
        """Bytes of weights, and bytes a second at which all threads read so many over and over: less than a cache
        holds is read faster."""
        one = HEIGHT * row_bytes("F32", WIDTH)
        copies = [
            max(1, size // one) for size in (*sorted(size for size in SIZES if size < self.weights), self.weights)
        ]
        with self.kernels.product("F32", WIDTH, HEIGHT, *((number, 1) for number in copies)) as works:
            return [(work.bytes, work.bytes / self.best(work)) for work in works]

    def reading_alone(self) -> float:
        """Bytes a second at which one thread reads from memory."""
        with self.kernels.product("F32", WIDTH, HEIGHT, (self._copies("F32"), 1)) as (work,):
            return work.bytes / self.best(work)

    def product(self, kind: str) -> dict[str, float]:
        copies = self._copies(kind)
        with self.kernels.product(kind, WIDTH, HEIGHT, (1, BATCH), (copies, 1), (copies, FEW)) as (many, one, few):
            return {
                "prefill": many.flops / self.best(many),
                "decode": one.bytes / self.best(one),
                "few": few.bytes / self.best(few),
            }

    def attention(self) -> dict[str, float]:
        layers = max(1, self.weights // (HEAD * HEADS * CELLS * 4))
        found = {}
        for name, columns, number in (("prefill", BATCH, 1), ("decode", 1, layers), ("few", FEW, layers)):
            with self.kernels.attention(HEAD, HEADS, CELLS, columns, number) as work:
                found[name] = (work.flops if columns == BATCH else work.bytes) / self.best(work)
        return found

    def operation(self) -> float:
        """Seconds of one operation that does next to nothing."""
        with self.kernels.chain(CHAIN) as work:
            return self.best(work) / CHAIN

    def _copies(self, kind: str) -> int:
        return max(1, self.weights // (HEIGHT * row_bytes(kind, WIDTH)))


def main() -> int:
    """Measure and print; the exit status of the process."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--cache", type=int, default=0, help="bytes of the processor's last cache")
    given = parser.parse_args()
    print(json.dumps(measure(given.threads, given.folder, given.cache)), flush=True)
    return 0


def measure(threads: int, folder: Path, cache: int) -> dict[str, object]:
    """Everything of a `Calibration` but the machine's and the library's names."""
    began = time.perf_counter()
    announce("looking", 0)
    announce("disk", 0.05)
    found: dict[str, object] = {"threads": threads, "disk": disk.read_rate(folder)}
    with Kernels(threads) as kernels:
        bench = Bench(kernels, weights(cache))
        announce("memory", 0.1)
        found["reading"] = reading = bench.reading()
        found["bandwidth"] = reading[-1][1]
        kernels.set_threads(1)
        found["bandwidth_single"] = bench.reading_alone()
        kernels.set_threads(threads)
        found |= {"operation": bench.operation(), "attention": bench.attention()}
        matmul = {}
        for number, kind in enumerate(TYPES):
            if number < ALWAYS or time.perf_counter() - began < BUDGET:
                announce("multiplying", 0.3 + 0.7 * number / len(TYPES))
                matmul[kind] = bench.product(kind)
    when = datetime.now(timezone.utc).isoformat(timespec="seconds")
    seconds = time.perf_counter() - began
    load = min(1.0, statistics.mean(bench.loads) / (psutil.cpu_count() or 1))
    spread = statistics.mean(bench.spreads)
    return found | {"matmul": matmul, "spread": spread, "load": load, "seconds": seconds, "when": when}


def weights(cache: int) -> int:
    """Bytes of weights that decode runs over."""
    return min(max(2 * cache, LEAST), MOST, max(psutil.virtual_memory().available // 8, 1))


def announce(stage: str, fraction: float) -> None:
    print(json.dumps({"stage": stage, "fraction": round(fraction, 3)}), flush=True)


if __name__ == "__main__":
    sys.exit(main())
