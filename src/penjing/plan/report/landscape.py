"""The map of all quantizations: size to the right, quality upwards, speed as the size of the dot and a number in it."""

from __future__ import annotations

import math
from collections.abc import Iterator

from penjing.files import human
from penjing.plan import words
from penjing.plan.answer import Answer, Row
from penjing.plan.quality import GRADES
from penjing.plan.report.svg import WIDTH, Scale, hint, line, picture, steps, tag, text
from penjing.plan.said import said

LEFT, RIGHT, TOP, BOTTOM, HEIGHT = 132.0, 40.0, 18.0, 44.0, 380.0
BEST = 0.0008
"""Nats at the top of the picture; what loses less is put there."""
WORST, BEYOND = 0.05, 1.8
"""Nats that are shown at least; how much further than the worst row the picture goes."""
LETTER, HIGH = 7.2, 13.0
"""Width and height of a letter of a name."""
SMALLEST, LARGEST = 5.0, 22.0
"""Radius of a dot."""


def draw(answer: Answer) -> str:
    """All rows."""
    shown = answer.chosen or answer.nearest
    sizes = [row.bytes for row in answer.rows]
    margin = max((max(sizes) - min(sizes)) * 0.12, max(sizes) * 0.06)
    across = Scale(max(0.0, min(sizes) - margin), max(sizes) + margin, LEFT, WIDTH - RIGHT)
    worst = max(WORST, *(row.quality.kl for row in answer.rows)) * BEYOND
    up = Scale(BEST, worst, TOP + LARGEST, HEIGHT - BOTTOM, log=True)
    fastest = max(row.speed.decode_tokens_per_s.likely for row in answer.rows)
    dots = [_dot(row, across, up, fastest, row is shown) for row in reversed(answer.rows)]
    names = _names(answer.rows, across, up, fastest, shown)
    label = said("Quality, size and speed of each quantization")
    return picture(HEIGHT, label, *_grades(up, worst), *_sizes(across), *dots, *names)


def _grades(up: Scale, worst: float) -> Iterator[str]:
    above = BEST
    for word, most in GRADES.items():
        if above >= worst:
            break
        below = min(most, worst)
        middle = math.sqrt(above * below)
        if most < worst:
            yield line(LEFT, up(most), WIDTH - RIGHT, up(most), "grid")
        yield text(said(word), LEFT - 12, up(middle) + 4, "end", "small")
        above = below


def _sizes(across: Scale) -> Iterator[str]:
    for value in steps(across.high / 1e9, across.low / 1e9):
        x = across(value * 1e9)
        yield line(x, HEIGHT - BOTTOM, x, HEIGHT - BOTTOM + 5, "axis")
        yield text(f"{value:g} GB", x, HEIGHT - BOTTOM + 19, "middle", "small")
    yield line(LEFT, HEIGHT - BOTTOM, WIDTH - RIGHT, HEIGHT - BOTTOM, "axis")
    yield text(said("size of the weights"), (LEFT + WIDTH - RIGHT) / 2, HEIGHT - 6, "middle", "small faint")


def _placed(row: Row, across: Scale, up: Scale, fastest: float) -> tuple[float, float, float]:
    """Where its dot is, and the dot's radius."""
    share = math.sqrt(row.speed.decode_tokens_per_s.likely / fastest)
    return across(float(row.bytes)), up(row.quality.kl), SMALLEST + (LARGEST - SMALLEST) * share


def _dot(row: Row, across: Scale, up: Scale, fastest: float, shown: bool) -> str:
    x, y, radius = _placed(row, across, up, fastest)
    told = said(
        "{label}: {size}, {rate} tokens/s, {grade}",
        label=row.label,
        size=human(row.bytes),
        rate=words.interval(row.speed.decode_tokens_per_s),
        grade=said(row.quality.grade),
    )
    kind = {"fits": "dot", "shorter": "dot shorter", "no": "dot no"}[row.verdict]
    circle = tag("circle", hint(told), cx=x, cy=y, r=radius, class_=kind + (" shown" if shown else ""))
    return circle + text(words.rate(row.speed.decode_tokens_per_s.likely), x, y + 3.5, "middle", "tiny onDot")


def _names(rows: tuple[Row, ...], across: Scale, up: Scale, fastest: float, shown: Row | None) -> Iterator[str]:
    """The name of each dot beside it, on the first side where it covers no other dot and no other name."""
    dots = [_placed(row, across, up, fastest) for row in rows]
    taken = [(x - radius, y - radius, x + radius, y + radius) for x, y, radius in dots]
    for row, (x, y, radius) in zip(rows, dots, strict=True):
        wide = LETTER * len(row.label)
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
        yield text(row.label, at, below, anchor, "label strong" if row is shown else "label small")


def _inside(box: tuple[float, float, float, float]) -> bool:
    return box[0] >= LEFT and box[2] <= WIDTH and box[1] >= 0


def _over(one: tuple[float, float, float, float], other: tuple[float, float, float, float]) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]
