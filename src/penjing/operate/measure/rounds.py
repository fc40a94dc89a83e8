"""Rounds: every load on every subject, in changing order, so that what the machine does meanwhile meets all alike.

Does not know: how results are shown.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from penjing.operate.measure.energy import Energy, Meter
from penjing.operate.measure.figures import Figures, Goal, figures
from penjing.operate.measure.load import Load, Taken, run
from penjing.operate.measure.subject import Subject
from penjing.progress import Progress, Report

BUDGET = 60.0
"""Seconds that all rounds take where nobody said how many questions: about so long, on any machine."""
MOST = 4
"""Questions of each client and round at most, where nobody said."""


@dataclass
class Row:
    """One load on one subject: all rounds, and each."""

    load: Load
    taken: list[Taken] = field(default_factory=list)
    energy: list[Energy] = field(default_factory=list)

    def figures(self, goal: Goal | None = None) -> Figures:
        """Of all rounds together."""
        samples = [sample for taken in self.taken for sample in taken.samples]
        return figures(samples, sum(taken.seconds for taken in self.taken), goal)

    def joules(self) -> float | None:
        """Energy that one answered token took, the whole machine's; None where nobody tells."""
        watts = [each.watts for each in self.energy]
        tokens = sum(sample.completion_tokens for taken in self.taken for sample in taken.samples if not sample.error)
        if not tokens or None in watts:
            return None
        used = sum((drawn or 0.0) * taken.seconds for drawn, taken in zip(watts, self.taken, strict=True))
        return used / tokens

    def rounds(self) -> list[Figures]:
        """Of each round."""
        return [figures(taken.samples, taken.seconds) for taken in self.taken]


class Rounds:
    """`loads` on `subjects`, `count` times. `rows[subject][load]` may be read at any time; `stopped` tells that `stop`
    ended it early."""

    def __init__(self, subjects: Sequence[Subject], loads: Sequence[Load], count: int, report: Report) -> None:
        self._subjects = subjects
        self._count = count
        self._report = report
        self._done = 0
        self.rows = [[Row(load) for load in loads] for _ in subjects]
        self.stopped = False

    async def run(self, stop: asyncio.Event) -> None:
        """Warm up, then measure until all is done or `stop` is set."""
        await self._warm(stop)
        total = self._count * sum(self._expected(row.load) for rows in self.rows for row in rows)
        for number in range(self._count):
            for place in range(len(self.rows[0])):
                order = range(len(self._subjects))
                for which in order if number % 2 == 0 else reversed(order):
                    if stop.is_set():
                        self.stopped = True
                        return
                    await self._one(which, self.rows[which][place], total, stop)
        self.stopped = stop.is_set()

    async def _one(self, which: int, row: Row, total: float, stop: asyncio.Event) -> None:
        subject = self._subjects[which]
        before, began = self._done, time.perf_counter()
        expected = self._expected(row.load)

        def hear(_: object) -> None:
            share = (time.perf_counter() - began) / row.load.seconds if row.load.seconds else 0.0
            self._done += 0 if row.load.seconds else 1
            done = before + share * expected if row.load.seconds else self._done
            self._report(Progress(min(done / max(total, 1), 1.0), "measuring"))

        meter = Meter()
        row.taken.append(await run(subject.target, subject.prompts, row.load, hear, stop))
        row.energy.append(meter.read())
        self._done = before + round(expected)

    async def _warm(self, stop: asyncio.Event) -> None:
        """Each load once, with one question of each client; that tells how many questions fit the budget."""
        for subject, rows in zip(self._subjects, self.rows, strict=True):
            for row in rows:
                if stop.is_set():
                    return
                self._report(Progress(0.0, "warming"))
                once = replace(row.load, requests=row.load.clients, seconds=0.0, rate=0.0)
                taken = await run(subject.target, subject.prompts, once, lambda _: None, stop)
                row.load = self._sized(row.load, taken)
        for place in range(len(self.rows[0])):  # the same for all, or rounds would not be pairs
            least = min(rows[place].load.requests for rows in self.rows)
            for rows in self.rows:
                rows[place].load = replace(rows[place].load, requests=least)

    def _sized(self, load: Load, warm: Taken) -> Load:
        if load.requests or load.seconds:
            return load
        share = BUDGET / (self._count * sum(map(len, self.rows)))
        times = max(1, min(MOST, int(share / warm.seconds))) if warm.seconds else MOST
        return replace(load, requests=load.clients * times)

    def _expected(self, load: Load) -> float:
        return load.requests or 1
