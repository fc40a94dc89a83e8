"""The search: all engines first, then what may be turned about the best of them, within a time.

The best way of each workload is tried again in turn with the usual one, so that what else happened on the machine
happened to both.

Does not know: how a way is tried, where a choice is kept.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from penjing.engines.llamacpp.options import EngineOptions
from penjing.operate.tune import ways
from penjing.operate.tune.trial import Trials, Tried
from penjing.operate.tune.ways import Way
from penjing.probe.facts import Model
from penjing.probe.machine import Machine
from penjing.progress import Progress, Report

SECONDS = 170.0
"""What a search may take where nobody says otherwise."""
WORTH = 1.03
"""How many times quicker another way must be to be worth it: less sways from day to day."""
AGAIN = 2
"""Further rounds of the best ways and the usual one."""
TURNING = 0.6
"""Share of the time after which nothing new is tried."""
FINALISTS = 2
"""Ways that are tried again for each workload."""


def chat(one: Tried) -> float:
    """Seconds of a turn: 256 tokens read, 256 answered."""
    return 256 / one.middle("prefill") + 256 / one.middle("decode")


def prefill(one: Tried) -> float:
    """Seconds of a question about a document: 2,048 tokens read, 128 answered."""
    return 2048 / one.middle("prefill") + 128 / one.middle("decode")


def many(one: Tried) -> float:
    """Seconds of 256 tokens of answers when several ask at once."""
    return 256 / one.middle("many")


WORKLOADS: dict[str, Callable[[Tried], float]] = {"chat": chat, "prefill": prefill, "many": many}


@dataclass
class Search:
    """What was `tried` of ways to compute `model`, the usual way first. `hear` is told each round; `wanted` are keys of
    WORKLOADS. In seconds: how long it may take, and what each round `spent`."""

    model: Model
    machine: Machine
    options: EngineOptions
    trials: Trials
    report: Report
    hear: Callable[[Tried], None]
    wanted: tuple[str, ...] = tuple(WORKLOADS)
    seconds: float = SECONDS
    tried: list[Tried] = field(default_factory=list)
    spent: list[float] = field(default_factory=list)
    begun: float = field(default_factory=time.monotonic)

    async def run(self, first: tuple[Way, ...]) -> None:
        """Try `first`, the usual way before the others, then turn what can be turned. Raises what `report` raises."""
        for way in first:
            await self._round(self._new(way))
        bases = {workload: best.way for workload in self.wanted if (best := self.best(workload))}
        for workload, base in bases.items():
            await self._turn(workload, base)
        finals = list({id(one): one for one in (self.tried[0], *self._finalists())}.values())
        for turn in range(AGAIN if len(finals) > 1 else 0):
            for one in finals[::-1] if turn % 2 else finals:
                await self._round(one)

    def _finalists(self) -> list[Tried]:
        good = [one for one in self.tried if one.good]
        return [one for each in self.wanted for one in sorted(good, key=WORKLOADS[each])[:FINALISTS]]

    async def _turn(self, workload: str, base: Way) -> None:
        """Turn one option of `base` after the other, and go on from what was better."""
        for way in list(ways.turns(base, self.model, self.machine, self.options)):
            same = [one for one in self.tried if one.good and one.way.computes == base.computes]
            changed = _merged(min(same, key=WORKLOADS[workload]).way, base, way)
            if changed not in [one.way for one in self.tried]:
                await self._round(self._new(changed))

    def _new(self, way: Way) -> Tried:
        self.tried.append(Tried(way))
        return self.tried[-1]

    async def _round(self, one: Tried) -> None:
        spent = time.monotonic() - self.begun
        each = sum(self.spent) / len(self.spent) if self.spent else 0.0
        most = self.seconds * (1.0 if one.rounds else TURNING)
        if one.error or (self.spent and spent + each > most):
            return
        self.report(Progress(min(spent / max(self.seconds, 1.0), 0.99), "measuring"))
        begun = time.monotonic()
        await self.trials.round(one)
        self.spent.append(time.monotonic() - begun)
        self.hear(one)

    def best(self, workload: str) -> Tried | None:
        """The quickest of those that agree; the usual way where none is worth a change. None where nothing works."""
        good = [one for one in self.tried if one.good]
        if not good:
            return None
        usual = self.tried[0]
        least = min(AGAIN, len(usual.rounds))  # one round may be luck, where the usual way had more
        good = [one for one in good if len(one.rounds) >= least] or good
        seconds = WORKLOADS[workload]
        best = min(good, key=seconds)
        return usual if usual in good and seconds(usual) < WORTH * seconds(best) else best


def _merged(now: Way, base: Way, turned: Way) -> Way:
    """`now` with what `turned` has other than `base`."""
    names = ways.TURNED
    changed = {name: getattr(turned, name) for name in names if getattr(turned, name) != getattr(base, name)}
    return replace(now, **changed)
