"""Which of its options each tensor gets, so that all of them fit a number of bytes and together cost least.

A multiple-choice knapsack. Lagrange's way: for a price of a byte each tensor takes what is cheapest; the price is found
by halving. What room that leaves (the solution is exact but for one tensor's step) is filled with the steps that save
most for their bytes.

Does not know: what costs are.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

HALVINGS = 80
CHEAPEST, DEAREST = 1e-30, 1e30
"""Prices of a byte between which the right one is."""


@dataclass(frozen=True)
class Option:
    """A type that a tensor may have: its `bytes` in the file, and what that `costs` (any unit)."""

    kind: str
    bytes: int
    costs: float


Chosen = dict[str, Option]


def allocate(options: Mapping[str, Sequence[Option]], room: int) -> Chosen:
    """One option for each tensor, in `room` bytes; where that is impossible, the smallest.

    >>> cheap, dear = Option("Q2_K", 10, 4.0), Option("Q4_K", 20, 1.0)
    >>> found = allocate({"a": [cheap, dear], "b": [cheap, Option("Q4_K", 20, 3.9)]}, 30)
    >>> found["a"].kind, found["b"].kind
    ('Q4_K', 'Q2_K')
    """
    low, high = CHEAPEST, DEAREST
    best = {name: min(every, key=lambda each: (each.bytes, each.costs)) for name, every in options.items()}
    for _ in range(HALVINGS):
        price = (low * high) ** 0.5
        found = {name: _cheapest(every, price) for name, every in options.items()}
        if total(found) <= room:
            best, high = found, price
        else:
            low = price
    return fill(options, best, room)


def total(chosen: Chosen) -> int:
    """Bytes together."""
    return sum(each.bytes for each in chosen.values())


def cost(chosen: Chosen) -> float:
    """Costs together."""
    return sum(each.costs for each in chosen.values())


def _cheapest(every: Sequence[Option], price: float) -> Option:
    return min(every, key=lambda each: (each.costs + price * each.bytes, each.bytes))


def fill(options: Mapping[str, Sequence[Option]], chosen: Chosen, room: int) -> Chosen:
    """`chosen` with steps that still fit, those first that save most for a byte."""
    chosen = dict(chosen)
    left = room - total(chosen)
    while True:
        steps = [
            ((now.costs - each.costs) / max(each.bytes - now.bytes, 1e-9), name, each)
            for name, now in chosen.items()
            for each in options[name]
            if each.costs < now.costs and each.bytes - now.bytes <= left
        ]
        if not steps:
            return chosen
        _, name, taken = max(steps, key=lambda step: step[0])
        left -= taken.bytes - chosen[name].bytes
        chosen[name] = taken
