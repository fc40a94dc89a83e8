"""Which shapes a model could be cut to for a budget of parameters, the most promising first.

A config has one number for all layers, so that every engine loads the result: which channels and heads stay is decided
in each layer, how many is decided once, for all parts together, by the nats lost for the parameters saved.

Does not know: how a shape is cut, what it really loses.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from penjing.errors import InputError
from penjing.shrink.prune.anatomy import AXES, FREE, FUSED, GATED, HIDDEN, INNER, KEYS, QUERIES, Anatomy

if TYPE_CHECKING:
    from penjing.shrink.prune.importance import Importance
    from penjing.shrink.prune.price import Removal

PARTS = ("inner", "heads", "layers", "hidden")
WIDE = 2048
"""From this width on a dimension stays a multiple of 256, the block of llama.cpp's k-quants; below, of 32."""


class RatioImpossible(InputError):
    """Facts: `ratio`, `most` (the largest possible), both in words, `parts`."""

    template = "{ratio} of the parameters cannot be removed from {parts}; the most is {most}."
    hint = "Ask for less, or let more parts go: --parts inner,heads,layers,hidden"
    code = "ratio_impossible"


@dataclass(frozen=True)
class Shape:
    """`layers`: those that stay. `hidden`, `inner`, `groups`: how many stay, the latter two in each layer."""

    layers: tuple[int, ...]
    hidden: int
    inner: int
    groups: int

    def words(self, sharing: int) -> dict[str, object]:
        """For manifests and reports."""
        heads = self.groups * sharing
        named = {"layers": len(self.layers), "hidden": self.hidden, "inner": self.inner}
        return {**named, "heads": heads, "kv_heads": self.groups, "layers_kept": list(self.layers)}


def parameters(anatomy: Anatomy, shape: Shape) -> int:
    """Numbers in the model once it has `shape`; a tied head counts once."""
    queries = shape.groups * anatomy.sharing * anatomy.head
    keys = shape.groups * anatomy.head
    length = {HIDDEN: shape.hidden, INNER: shape.inner, QUERIES: queries, KEYS: keys}
    length |= {FUSED: queries + 2 * keys, GATED: 2 * shape.inner}
    total, kept = 0, set(shape.layers)
    for name, values in anatomy.model.named_parameters():
        layer = anatomy.layer(name)
        if layer is None or layer in kept:
            numbers = 1
            for size, axis in zip(values.shape, AXES[anatomy.suffix(name)], strict=True):
                numbers *= size if axis == FREE else length[axis]
            total += numbers
    return total


def whole(anatomy: Anatomy) -> Shape:
    """The shape that the model has."""
    return Shape(tuple(range(anatomy.layers)), anatomy.hidden, anatomy.inner, anatomy.groups)


def block(size: int, multiple: int) -> int:
    """Of what a dimension of `size` stays a multiple: `multiple`, or where that is 0, what quantization wants."""
    return multiple or (256 if size >= WIDE else 32)


def shapes(anatomy: Anatomy, ratio: float, parts: Sequence[str], multiple: int = 0) -> Iterator[Shape]:
    """Those with at most `1 - ratio` of the parameters of which no part could stay larger alone. `layers` are numbers
    only: the first so many (`chosen` says which). Raises RatioImpossible."""
    full = whole(anatomy)
    total = parameters(anatomy, full)
    room = int(total * (1 - ratio))
    found, least = False, total
    for depth in _depths(anatomy, "layers" in parts):
        for hidden in _steps(anatomy.hidden, block(anatomy.hidden, multiple), "hidden" in parts):
            for groups in range(anatomy.groups, 0, -1) if "heads" in parts else (anatomy.groups,):
                for inner in _steps(anatomy.inner, block(anatomy.inner, multiple), "inner" in parts):
                    shape = Shape(tuple(range(depth)), hidden, inner, groups)
                    size = parameters(anatomy, shape)
                    least = min(least, size)
                    if size <= room:
                        found = True
                        yield shape
                        break
    if not found:
        raise RatioImpossible(ratio=f"{ratio:.0%}", most=f"{1 - least / total:.0%}", parts=", ".join(parts))


def _depths(anatomy: Anatomy, may: bool) -> range:
    """At least half of the layers stay; where attention takes turns, whole turns go."""
    least = anatomy.layers // 2 if may else anatomy.layers
    return range(anatomy.layers, max(least, 1) - 1, -anatomy.period)


def _steps(size: int, unit: int, may: bool) -> list[int]:
    """`size` itself, then the multiples of `unit` below it, down to a quarter."""
    if not may:
        return [size]
    first = (size - 1) // unit * unit
    return [size, *(each for each in range(first, max(size // 4, 1) - 1, -unit) if each)]


def chosen(anatomy: Anatomy, shape: Shape, found: Importance) -> Shape:
    """`shape` with the layers that stay by their influence; where attention takes turns, a run of whole turns goes, so
    that they go on evenly."""
    going = anatomy.layers - len(shape.layers)
    if anatomy.period == 1:
        gone = set(found.influence.argsort()[:going].tolist())
    else:
        starts = range(anatomy.layers - going + 1)
        begin = min(starts, key=lambda at: float(found.influence[at : at + going].sum()))
        gone = set(range(begin, begin + going))
    layers = tuple(layer for layer in range(anatomy.layers) if layer not in gone)
    return Shape(layers, shape.hidden, shape.inner, shape.groups)


def lost(anatomy: Anatomy, shape: Shape, found: Importance, attention: list[Removal], inner: list[Removal]) -> float:
    """The nats a learned token that the shape is expected to lose: what each part would lose alone, added up."""
    stays = set(shape.layers)
    total = sum(float(found.layers[layer]) for layer in range(anatomy.layers) if layer not in stays)
    total += float(found.hidden.sort().values[: anatomy.hidden - shape.hidden].sum())
    for layer in shape.layers:
        total += float(attention[layer].lost[anatomy.groups - shape.groups])
        total += float(inner[layer].lost[anatomy.inner - shape.inner])
    return total
