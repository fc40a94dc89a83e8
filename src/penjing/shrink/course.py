"""How far a run of several steps is, and how long it takes yet: the plan's times, put right by what is seen.

Does not know: steps, who shows it.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

from penjing.progress import Journey, Progress, Report

TELLING = 0.03
"""Of a step must be done before its own pace says more than the plan."""
LEAST = 0.05
"""Seconds that any step is reckoned with, so that shares exist."""


@dataclass(frozen=True)
class Leg:
    """One step: an English template of what it does, and the seconds it should take."""

    about: str
    seconds: float


class Course:
    """`report` is told the whole way; `step(index)` gives what one step reports to."""

    def __init__(self, legs: Sequence[Leg], report: Report) -> None:
        self.legs = legs
        self.report = report
        self.times = [max(leg.seconds, LEAST) for leg in legs]

    def step(self, index: int) -> Report:
        """For the step that begins now. What it took before, in a run that was stopped, counts as quick."""
        begun = time.monotonic()
        first: list[float] = []

        def tell(progress: Progress) -> None:
            first.append(progress.fraction) if not first else None
            self.report(self.seen(index, progress, first[0], time.monotonic() - begun))

        tell(Progress(0.0, "reading"))
        first.clear()
        return tell

    def seen(self, index: int, progress: Progress, first: float, elapsed: float) -> Journey:
        """The whole way, when step `index` is at `progress`, was at `first` when this process began it, and has worked
        `elapsed` seconds."""
        share = min(max(progress.fraction, 0.0), 1.0)
        left = self.times[index] * (1 - share)
        if share - first > TELLING:
            left = elapsed * (1 - share) / (share - first)
        done = sum(self.times[:index]) + self.times[index] * share
        return Journey(
            done / sum(self.times),
            progress.stage,
            step=index + 1,
            steps=len(self.legs),
            about=self.legs[index].about,
            left=left + sum(self.times[index + 1 :]),
        )
