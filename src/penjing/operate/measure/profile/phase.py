"""A profile: what prefill and decode take in all, and each of their operations alone.

Each operation is timed while it runs alone, which costs some microseconds more than among the others (`Launch`).
That is taken off. What the sum then lacks of the time of the same
work unwatched, or has too much, is told and spread over nothing.

Does not know: how anything was measured, how it is shown.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass

from penjing.engines.llamacpp.watch import Operation
from penjing.operate.measure.profile.groups import GROUPS, OVERHEAD, SAMPLING, group, label

CLOSE = 0.05
"""Share of the plain time by which the sum may miss it."""
BEFORE, AFTER = "build graph", "read result"


@dataclass(frozen=True)
class Timed:
    """An operation and its seconds alone, launch included."""

    operation: Operation
    seconds: float


@dataclass(frozen=True)
class Launch:
    """Seconds that it takes to start and end an operation alone, beyond what it takes among others: one that all
    threads compute, measured with operations that do next to nothing, and one of a single thread, measured with those
    of the model that compute nothing."""

    parallel: float
    single: float

    def of(self, operation: Operation) -> float:
        """Of this one."""
        return self.parallel if operation.parallel else self.single


@dataclass(frozen=True)
class Part:
    """Operations that belong together. `seconds` of all `calls`; `flops` and `bytes` as in `Operation`, of all calls;
    `types` of the first input (of attention: the keys) and the result."""

    group: str
    label: str
    seconds: float
    calls: int = 1
    flops: int = 0
    bytes: int = 0
    types: str = ""
    layer: int | None = None


@dataclass(frozen=True)
class Phase:
    """`tokens` at once, `runs` times. In seconds, medians of all runs: `plain` unwatched and `watched` in all; `before`
    the first operation and `after` the last one; `sampling` of one token. `spread`: how far the plain runs' quartiles
    are apart, as a share of their median."""

    tokens: int
    runs: int
    plain: float
    watched: float
    before: float
    after: float
    sampling: float
    spread: float
    launch: Launch
    operations: tuple[Timed, ...]

    def parts(self) -> list[Part]:
        """Every operation that computes something, in the order of computing, then sampling; overhead around them."""
        return [
            Part(OVERHEAD, BEFORE, self.before),
            *(self._part(timed) for timed in self.operations if not timed.operation.empty),
            Part(OVERHEAD, AFTER, self.after),
            Part(SAMPLING, SAMPLING, self.sampling),
        ]

    def _part(self, timed: Timed) -> Part:
        one = timed.operation
        first = one.types[1] if one.op == "FLASH_ATTN_EXT" else one.types[0]  # of the keys, rather than the query
        seconds = max(0.0, timed.seconds - self.launch.of(one))
        return Part(group(one), label(one), seconds, 1, one.flops, one.bytes, f"{first} → {one.types[-1]}", one.layer)

    def groups(self) -> list[Part]:
        """One part a group, in the order of GROUPS, without those that do not occur."""
        found = {part.group: part for part in merged(self.parts(), lambda part: part.group)}
        return [found[name] for name in GROUPS if name in found]

    def operators(self) -> list[Part]:
        """One part an operator and types, all layers together, the longest first."""
        found = merged(self.parts(), lambda part: (part.group, part.label, part.types))
        return sorted(found, key=lambda part: -part.seconds)

    @property
    def total(self) -> float:
        """Seconds of all parts."""
        return sum(part.seconds for part in self.parts())

    @property
    def accounted(self) -> float:
        """`total` as a share of the plain time; 1 is perfect."""
        return self.total / self.plain if self.plain else 0.0

    @property
    def slowed(self) -> float:
        """By what share watching made it slower."""
        return self.watched / self.plain - 1 if self.plain else 0.0

    @property
    def close(self) -> bool:
        """Whether the sum is close enough to the plain time."""
        return abs(self.accounted - 1) <= CLOSE


def merged(parts: Iterable[Part], key: Callable[[Part], Hashable]) -> list[Part]:
    """Parts of one key as one, in the order of their first."""
    found: dict[Hashable, Part] = {}
    for part in parts:
        had = found.get(key(part))
        found[key(part)] = part if had is None else _sum(had, part)
    return list(found.values())


def _sum(one: Part, two: Part) -> Part:
    return Part(
        one.group,
        one.label,
        one.seconds + two.seconds,
        one.calls + two.calls,
        one.flops + two.flops,
        one.bytes + two.bytes,
        one.types,
        one.layer if one.layer == two.layer else None,
    )


@dataclass(frozen=True)
class Profile:
    """`model` by name, measured with `threads` of `processor`, `library` being what computed. `context` tokens were in
    the cache when decoding began. `when` is ISO 8601, UTC. Other programs kept `others` cores busy meanwhile."""

    model: str
    prefill: Phase
    decode: Phase
    context: int
    threads: int
    library: str
    processor: str
    when: str
    others: float = 0.0

    def each(self) -> list[tuple[str, Phase]]:
        """Name and phase."""
        return [("prefill", self.prefill), ("decode", self.decode)]
