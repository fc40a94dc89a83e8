"""A map of models: size to the right, quality upwards; each is a dot with its name beside it.

Does not know: what else a dot tells.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from penjing.plan.quality import GRADES
from penjing.plan.report.svg import WIDTH, Scale, line, steps, text
from penjing.plan.said import said

LEFT, RIGHT, TOP, BOTTOM, HEIGHT = 132.0, 40.0, 18.0, 44.0, 380.0
LETTER, HIGH = 7.2, 13.0
"""Width and height of a letter of a name."""
GIGA, MEGA = (1e9, "GB"), (1e6, "MB")


@dataclass(frozen=True)
class Dot:
    """`x`, `y` and `radius` in the picture's units."""

    label: str
    x: float
    y: float
    radius: float
    strong: bool = False


def across(sizes: Sequence[float]) -> Scale:
    """Bytes to places, with room beside the smallest and the largest."""
    margin = max((max(sizes) - min(sizes)) * 0.12, max(sizes) * 0.06)
    return Scale(max(0.0, min(sizes) - margin), max(sizes) + margin, LEFT, WIDTH - RIGHT)


def grades(up: Scale) -> Iterator[str]:
    """The words for a loss, and lines between them. `up` begins with the best."""
    best, worst = up.low, up.high
    above = best
    for word, most in GRADES.items():
        if above >= worst:
            break
        if most <= best:
            continue
        below = min(most, worst)
        middle = math.sqrt(above * below)
        if most < worst:
            yield line(LEFT, up(most), WIDTH - RIGHT, up(most), "grid")
        yield text(said(word), LEFT - 12, up(middle) + 4, "end", "small")
        above = below


def axis(scale: Scale) -> Iterator[str]:
    """Of sizes, in bytes."""
    unit, name = GIGA if scale.high >= GIGA[0] else MEGA
    for value in steps(scale.high / unit, scale.low / unit):
        x = scale(value * unit)
        yield line(x, HEIGHT - BOTTOM, x, HEIGHT - BOTTOM + 5, "axis")
        yield text(f"{value:g} {name}", x, HEIGHT - BOTTOM + 19, "middle", "small")
    yield line(LEFT, HEIGHT - BOTTOM, WIDTH - RIGHT, HEIGHT - BOTTOM, "axis")
    yield text(said("size of the weights"), (LEFT + WIDTH - RIGHT) / 2, HEIGHT - 6, "middle", "small faint")


def names(dots: Sequence[Dot]) -> Iterator[str]:
    """The name of each dot beside it, on the first side where it covers no other dot and no other name."""
    taken = [(dot.x - dot.radius, dot.y - dot.radius, dot.x + dot.radius, dot.y + dot.radius) for dot in dots]
    for dot in dots:
        x, y, radius, wide = dot.x, dot.y, dot.radius, LETTER * len(dot.label)
        sides = (
            (x + radius + 5, y + 4, "start", 0.0),
            (x - radius - 5, y + 4, "end", -wide),
            (x, y - radius - 5, "middle", -wide / 2),
            (x, y + radius + HIGH, "middle", -wide / 2),
        )
        boxes = [(at + shift, below - HIGH + 2, at + shift + wide, below + 2) for at, below, _, shift in sides]
        free = [place for place, box in enumerate(boxes) if _inside(box) and not any(_over(box, one) for one in taken)]
        place = free[0] if free else 2
        taken.append(boxes[place])
        at, below, anchor, _ = sides[place]
        yield text(dot.label, at, below, anchor, "label strong" if dot.strong else "label small")


def _inside(box: tuple[float, float, float, float]) -> bool:
    return box[0] >= LEFT and box[2] <= WIDTH and box[1] >= 0


def _over(one: tuple[float, float, float, float], other: tuple[float, float, float, float]) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]
