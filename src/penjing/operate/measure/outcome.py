"""What came out of measuring, as one document: for programs, for tables, for a page.

Does not know: how it is shown.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from penjing.engines.llamacpp.footprint import Footprint
from penjing.operate.measure.figures import Figures, Goal, Ratio, ratio
from penjing.operate.measure.load import Load
from penjing.operate.measure.planned import Plan, Planned
from penjing.operate.measure.rounds import Row
from penjing.operate.measure.subject import Start, Subject

FORM = 1
"""Of the document; higher when a field changes its meaning."""


@dataclass(frozen=True)
class Host:
    """The machine on which it was measured; memory in bytes."""

    system: str
    cpu: str
    cores: int
    memory: int
    penjing: str


@dataclass(frozen=True)
class Line:
    """One load on one subject. `rounds` are its figures round by round, `joules` of one token, `planned` what was to be
    expected."""

    load: Load
    figures: Figures
    rounds: list[Figures]
    joules: float | None
    planned: Planned


@dataclass(frozen=True)
class Result:
    """One subject. `context` in tokens; `fresh` and `memory` in bytes after it was started and after all was asked
    (conversations are kept), None for a server elsewhere. `notes` are
    templates; `power` tells who measured it, or why nobody did (a template). `planned` is the memory in bytes that was
    expected at the start, 0 where nothing was."""

    name: str
    model: str
    context: int
    slots: int
    starts: tuple[Start, ...]
    fresh: Footprint | None
    memory: Footprint | None
    planned: int
    power: str
    exact: bool
    notes: list[str]
    lines: list[Line]


@dataclass(frozen=True)
class Compared:
    """The first subject over the second under one load: tokens a second, and seconds to the first token."""

    tokens: Ratio | None
    first: Ratio | None


@dataclass(frozen=True)
class Outcome:
    """`when` is ISO 8601. `stopped`: it was ended early, and holds what was measured until then."""

    when: str
    host: Host
    results: list[Result]
    compared: list[Compared]
    stopped: bool
    form: int = FORM

    @property
    def ordered(self) -> list[tuple[Result, Line]]:
        """The lines of all results, those of the same load beside each other."""
        longest = max((len(result.lines) for result in self.results), default=0)
        return [
            (result, result.lines[place])
            for place in range(longest)
            for result in self.results
            if place < len(result.lines)
        ]

    @property
    def apart(self) -> float:
        """By which share the tokens a second of one round and another differ, where that is the most."""
        rates = [
            [each.tokens for each in line.rounds if each.tokens] for result in self.results for line in result.lines
        ]
        return max((max(one) / min(one) - 1 for one in rates if one), default=0.0)

    def document(self) -> Any:
        """As JSON can hold it. Times in seconds, rates in tokens or answers a second."""
        import msgspec

        return msgspec.to_builtins(self)


async def result(subject: Subject, rows: Sequence[Row], goal: Goal | None) -> Result:
    """What was found of `subject`. Rows that nothing was measured of are left out."""
    target, plan = subject.target, Plan(subject.engine)
    return Result(
        name=target.name,
        model=target.model,
        context=target.context,
        slots=subject.engine.capabilities.slots,
        starts=subject.starts,
        memory=await subject.footprint(),
        fresh=subject.fresh,
        planned=plan.memory,
        power=next((energy.source for row in rows for energy in row.energy), ""),
        exact=subject.prompts.exact,
        notes=target.notes,
        lines=[
            Line(row.load, row.figures(goal), row.rounds(), row.joules(), plan.of(row.load))
            for row in rows
            if row.taken
        ],
    )


def compare(ours: Result, theirs: Result) -> list[Compared]:
    """Each load of the one over that of the other, round by round."""
    return [
        Compared(
            tokens=ratio([each.tokens for each in mine.rounds], [each.tokens for each in other.rounds]),
            first=ratio([each.first.p50 for each in mine.rounds], [each.first.p50 for each in other.rounds]),
        )
        for mine, other in zip(ours.lines, theirs.lines, strict=False)
    ]
