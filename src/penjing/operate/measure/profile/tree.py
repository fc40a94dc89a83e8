"""A phase as a tree: group, operator, layer; a node's time is that of its branches.

Does not know: how it is drawn.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from dataclasses import dataclass

from penjing.operate.measure.profile.phase import Part, Phase, merged


@dataclass(frozen=True)
class Node:
    """`part` sums up what is below; `name` is what distinguishes it from its siblings: a group, an operator with its
    types, or a layer's number."""

    name: str
    part: Part
    branches: tuple[Node, ...] = ()


def tree(phase: Phase) -> tuple[Node, ...]:
    """The groups of a phase; siblings stand by time, the longest first, layers in their order."""
    parts = phase.parts()
    found = []
    for group in longest(merged(parts, lambda part: part.group)):
        inside = [part for part in parts if part.group == group.group]
        operators = longest(merged(inside, kind))
        found.append(Node(group.group, group, tuple(Node(titled(one), one, layers(inside, one)) for one in operators)))
    return tuple(found)


def kind(part: Part) -> Hashable:
    """What operators are told apart by."""
    return part.label, part.types


def titled(part: Part) -> str:
    """An operator with its types.

    >>> titled(Part("matrix product", "ffn_up", 0.1, types="Q4_K → F32"))
    'ffn_up Q4_K → F32'
    """
    return f"{part.label} {part.types}".strip()


def layers(parts: Iterable[Part], operator: Part) -> tuple[Node, ...]:
    """The operator in each of its layers; nothing where it is in none."""
    inside = [part for part in parts if kind(part) == kind(operator) and part.layer is not None]
    return tuple(Node(str(one.layer), one) for one in merged(inside, lambda part: part.layer))


def longest(parts: Iterable[Part]) -> list[Part]:
    """Sorted by time."""
    return sorted(parts, key=lambda part: -part.seconds)
