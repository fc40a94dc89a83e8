"""An allocation made better by what the engine says of it, rather than of each tensor alone.

At the place where the allocation stands every tensor is given its next better type, one at a time; how much that really
brings, beside what was expected, corrects what its errors are worth. Then there is a new allocation, kept where it is
measured to be better. What is left are exchanges of two tensors' steps, tried in the order of what they promise.

Does not know: files, types' names.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from penjing.shrink.quantize.allocate import Chosen, Option, allocate, fill, total

Options = Mapping[str, Sequence[Option]]
Measure = Callable[[Chosen], float]
CORRECTIONS = 1
EXCHANGES = 8
"""Tries that do not help, after which exchanges are given up."""
MOST = 4.0
"""A correction at once."""
NOISE = 0.01
"""Share of the divergence below which a difference says nothing."""


def refine(options: Options, chosen: Chosen, room: int, measure: Measure) -> tuple[Chosen, float]:
    """A choice that is measured to be no worse than `chosen`, and its divergence."""
    best = measure(chosen)
    for _ in range(CORRECTIONS):
        options = corrected(options, chosen, best, measure)
        chosen = {name: same(options[name], each.kind) for name, each in chosen.items()}
        other = allocate(options, room)
        if kinds(other) == kinds(chosen) or (found := measure(other)) >= best:
            break
        chosen, best = other, found
    return exchanged(options, chosen, best, room, measure)


def kinds(chosen: Chosen) -> dict[str, str]:
    """Types by name."""
    return {name: each.kind for name, each in chosen.items()}


def same(every: Sequence[Option], kind: str) -> Option:
    """The option of that type."""
    return next(each for each in every if each.kind == kind)


def corrected(options: Options, chosen: Chosen, now: float, measure: Measure) -> dict[str, list[Option]]:
    """`options` with costs as they are seen to be around `chosen`."""
    found = {}
    for name, every in options.items():
        factor = 1.0
        step = neighbour(every, chosen[name])
        if step is not None:
            expected = abs(chosen[name].costs - step.costs)
            seen = abs(now - measure({**chosen, name: step}))
            slack = NOISE * now
            factor = min(max((seen + slack) / (expected + slack), 1 / MOST), MOST)
        found[name] = [replace(each, costs=each.costs * factor) for each in every]
    return found


def neighbour(every: Sequence[Option], now: Option) -> Option | None:
    """The next larger option that costs less; where there is none, the next smaller one."""
    better = [each for each in every if each.bytes > now.bytes and each.costs < now.costs]
    worse = [each for each in every if each.bytes < now.bytes]
    return min(better, key=lambda each: each.bytes) if better else max(worse, key=lambda each: each.bytes, default=None)


def exchanged(options: Options, chosen: Chosen, best: float, room: int, measure: Measure) -> tuple[Chosen, float]:
    """One tensor a step down, what that frees to others: those changes that are measured to help."""
    tried: set[tuple[tuple[str, str], ...]] = set()
    failures = 0
    while failures < EXCHANGES:
        moves = sorted(
            (
                (sum(each.costs for each in other.values()), key, other)
                for other in exchanges(options, chosen, room)
                if (key := tuple(sorted(kinds(other).items()))) not in tried
            ),
            key=lambda move: move[0],
        )
        if not moves:
            break
        _, key, other = moves[0]
        tried.add(key)
        found = measure(other)
        if found < best:
            chosen, best, failures = other, found, 0
        else:
            failures += 1
    return chosen, best


def exchanges(options: Options, chosen: Chosen, room: int) -> list[Chosen]:
    """`chosen` with one tensor a step smaller, and another with the best step that then fits (and what still does)."""
    found = []
    for name, every in options.items():
        smaller = [each for each in every if each.bytes < chosen[name].bytes]
        if not smaller:
            continue
        less = {**chosen, name: max(smaller, key=lambda each: each.bytes)}
        held = {**options, name: [less[name]]}
        more = fill(held, less, room)
        if total(more) <= room and kinds(more) != kinds(less):
            found.append(more)
    return found
