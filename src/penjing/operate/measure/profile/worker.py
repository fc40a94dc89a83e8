"""The process that is profiled: `python -m penjing.operate.measure.profile.worker`.

    stdin   one line of `Settings`, then one of {"prompt", "output", "seconds"}
    stdout  {"stage", "fraction"} while it works, then everything of a `Profile` that is measured

Two contexts of one model do the same work in turn, one watched and one not, token by token: what happens on the
machine meanwhile happens to both.

Does not know: how the settings were chosen, groups, what is shown.
"""

from __future__ import annotations

import gc
import json
import statistics
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import NoReturn

from penjing.engines.llamacpp.direct import Context, Loaded
from penjing.engines.llamacpp.settings import Settings
from penjing.engines.llamacpp.watch import Operation, Watch
from penjing.errors import PenjingError
from penjing.operate.measure.prompts import SENTENCES
from penjing.probe.kernels import Kernels
from penjing.probe.others import Others

NANO = 1e-9
MOST_ROUNDS = 5
CHAIN, TRIES = 500, 20
STEP = 256
"""llama.cpp rounds contexts up to so many tokens."""
TIMES = ("watched", "before", "after", "sampling")


@dataclass
class Run:
    """One piece of work, watched. In seconds."""

    watched: float = 0.0
    before: float = 0.0
    after: float = 0.0
    sampling: float = 0.0
    operations: list[float] = field(default_factory=list)


@dataclass
class Seen:
    """All runs of a phase, unwatched and watched."""

    plain: list[float] = field(default_factory=list)
    runs: list[Run] = field(default_factory=list)


class Pair:
    """The two contexts, and which work they do."""

    def __init__(self, plain: Context, watched: Context, watch: Watch, ubatch: int) -> None:
        self.plain, self.watched, self.watch, self.ubatch = plain, watched, watch, ubatch
        self.token = 0
        self._turn = False

    def describe(self, tokens: Sequence[int]) -> list[Operation]:
        """The operations of `tokens`, computed once in each context."""
        self.watch.operations.clear()
        self.watch.describe = True
        self._watched(tokens)
        self.watch.describe = False
        self._plain(tokens)
        return list(self.watch.operations)

    def both(self, tokens: Sequence[int], seen: Seen) -> None:
        """Compute `tokens` in both, now this one first and now that one."""
        self._turn = not self._turn
        for watched in (self._turn, not self._turn):
            if watched:
                seen.runs.append(self._watched(tokens))
            else:
                seen.plain.append(self._plain(tokens))

    def clear(self) -> None:
        """Both forget."""
        self.plain.clear()
        self.watched.clear()

    def _pieces(self, tokens: Sequence[int]) -> list[Sequence[int]]:
        return [tokens[at : at + self.ubatch] for at in range(0, len(tokens), self.ubatch)]

    def _plain(self, tokens: Sequence[int]) -> float:
        begun = time.perf_counter_ns()
        for piece in self._pieces(tokens):
            self.plain.decode(piece)
        self.token = self.plain.sample()
        return (time.perf_counter_ns() - begun) * NANO

    def _watched(self, tokens: Sequence[int]) -> Run:
        run = Run()
        for piece in self._pieces(tokens):
            self.watch.times.clear()
            begun = time.perf_counter_ns()
            self.watched.decode(piece)
            ended = time.perf_counter_ns()
            times = self.watch.times
            run.watched += (ended - begun) * NANO
            run.before += (times[0] - begun) * NANO
            run.after += (ended - times[-1]) * NANO
            run.operations += [(end - start) * NANO for start, end in zip(times[::2], times[1::2], strict=True)]
        begun = time.perf_counter_ns()
        self.watched.sample()
        run.sampling = (time.perf_counter_ns() - begun) * NANO
        run.watched += run.sampling
        return run


def main() -> int:
    """Measure and print; the exit status of the process."""
    settings = Settings.decode(sys.stdin.buffer.readline())
    wanted = json.loads(sys.stdin.buffer.readline())
    try:
        found = measure(settings, wanted["prompt"], wanted["output"], wanted["seconds"])
    except PenjingError as error:
        fail(error.message(language="en"))
    print(json.dumps(found), flush=True)
    return 0


def fail(detail: str) -> NoReturn:
    """End with `detail` as the last words."""
    print(detail, file=sys.stderr, flush=True)
    sys.exit(1)


def measure(settings: Settings, prompt: int, output: int, seconds: float) -> dict[str, object]:
    """`prefill`, `decode` as in `Phase`, `others` as in `Profile`. Raises EngineStartFailed, LibraryMissing."""
    announce("loading", 0)
    watch, length = Watch(), -(-(prompt + output) // STEP) * STEP
    with Loaded(settings) as model:
        if not model.generates:
            fail("this model does not generate text")
        with Context(model, length) as plain, Context(model, length, watch.callback) as watched:
            tokens = text(model, prompt)
            pair = Pair(plain, watched, watch, settings.ubatch)
            announce("warming", 0.1)
            begun = time.perf_counter()
            operations = {"prefill": pair.describe(tokens), "decode": pair.describe([pair.token])}
            once = time.perf_counter() - begun
            gc.disable()
            others = Others()
            seen = rounds(pair, tokens, output, max(1, min(MOST_ROUNDS, int(seconds / once))))
            gc.enable()
            busy = others.cores()
    prefill, decode = phase(seen["prefill"], operations["prefill"]), phase(seen["decode"], operations["decode"])
    launch = launching(settings.threads, watch, decode)
    return {"prefill": prefill.facts(prompt, launch), "decode": decode.facts(1, launch), "others": busy}


def text(model: Loaded, count: int) -> list[int]:
    """`count` tokens of plain sentences."""
    found = model.tokens(" ".join(SENTENCES))
    return (found * (count // len(found) + 1))[:count]


def rounds(pair: Pair, tokens: Sequence[int], output: int, count: int) -> dict[str, Seen]:
    """Answer the prompt `count` times."""
    seen = {"prefill": Seen(), "decode": Seen()}
    for number in range(count):
        announce("profiling", 0.2 + 0.75 * number / count)
        pair.clear()
        pair.both(tokens, seen["prefill"])
        for _ in range(output - 1):
            pair.both([pair.token], seen["decode"])
    return seen


@dataclass
class Median:
    """What is in the middle of all runs of a phase, each operation's time for itself, in seconds."""

    run: Run
    plain: float
    spread: float
    runs: int
    described: list[Operation]

    def alone(self, *, empty: bool) -> list[float]:
        """Seconds of each operation that computes nothing, or of each that takes all threads."""
        pairs = zip(self.described, self.run.operations, strict=True)
        return [seconds for one, seconds in pairs if (one.empty if empty else one.parallel and not one.empty)]

    def facts(self, tokens: int, launch: dict[str, float]) -> dict[str, object]:
        """What a `Phase` is made of."""
        pairs = zip(self.described, self.run.operations, strict=True)
        timed = [{"operation": asdict(operation), "seconds": seconds} for operation, seconds in pairs]
        found = {"plain": self.plain, "spread": self.spread, "runs": self.runs, "tokens": tokens, "launch": launch}
        return asdict(self.run) | found | {"operations": timed}


def phase(seen: Seen, operations: list[Operation]) -> Median:
    """What was seen, summed up."""
    runs = [run for run in seen.runs if len(run.operations) == len(operations)]
    if not runs:
        fail("the operations are others each time")
    each = [statistics.median(times) for times in zip(*(run.operations for run in runs), strict=True)]
    middle = Run(operations=each, **{name: statistics.median(getattr(run, name) for run in runs) for name in TIMES})
    return Median(middle, statistics.median(seen.plain), spread(seen.plain), len(runs), operations)


def spread(values: Sequence[float]) -> float:
    """How far the quartiles are apart, as a share of the median."""
    if len(values) < 2:
        return 0.0
    low, middle, high = statistics.quantiles(values, n=4, method="inclusive")
    return (high - low) / middle


def launching(threads: int, watch: Watch, decode: Median) -> dict[str, float]:
    """A `Launch`. None of the model's own operations took less than nothing, which is a limit to what is measured."""
    announce("profiling", 0.95)
    with Kernels(threads) as kernels:
        with kernels.chain(CHAIN) as work:
            among = statistics.median(work.run() for _ in range(TRIES)) / CHAIN
        with kernels.chain(CHAIN, watch.callback) as work:
            watch.times.clear()
            for _ in range(TRIES):
                work.run()
    times = watch.times
    alone = statistics.median(end - start for start, end in zip(times[::2], times[1::2], strict=True)) * NANO
    quickest = min([alone, *decode.alone(empty=False)])
    nothing = statistics.median(decode.alone(empty=True) or [0.0])
    return {"parallel": max(0.0, quickest - among), "single": nothing}


def announce(stage: str, fraction: float) -> None:
    """One line to whoever waits."""
    print(json.dumps({"stage": stage, "fraction": round(fraction, 3)}), flush=True)


if __name__ == "__main__":
    sys.exit(main())
