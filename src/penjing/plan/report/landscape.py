"""The map of all quantizations: size to the right, quality upwards, speed as the size and colour of the dot."""

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
BEST = 0.0005
"""Nats at the top of the picture; what loses less is put there."""
SMALLEST, LARGEST = 5.0, 22.0
"""Radius of a dot."""


def draw(answer: Answer) -> str:
    """All rows."""
    shown = answer.chosen or answer.nearest
    sizes = [row.bytes for row in answer.rows]
    margin = max((max(sizes) - min(sizes)) * 0.12, max(sizes) * 0.06)
    across = Scale(max(0.0, min(sizes) - margin), max(sizes) + margin, LEFT, WIDTH - RIGHT)
    worst = max(0.2, *(row.quality.kl for row in answer.rows)) * 1.6
    up = Scale(BEST, worst, TOP + LARGEST, HEIGHT - BOTTOM, log=True)
    fastest = max(row.speed.decode_tokens_per_s.likely for row in answer.rows)
    dots = [_dot(row, across, up, fastest, row is shown) for row in reversed(answer.rows)]
    label = said("Quality, size and speed of each quantization")
    return picture(HEIGHT, label, *_grades(up, worst), *_sizes(across), *dots)


def _grades(up: Scale, worst: float) -> Iterator[str]:
    above = BEST
    for most, word in GRADES:
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


def _dot(row: Row, across: Scale, up: Scale, fastest: float, shown: bool) -> str:
    likely = row.speed.decode_tokens_per_s.likely
    radius = SMALLEST + (LARGEST - SMALLEST) * math.sqrt(likely / fastest)
    x, y = across(float(row.bytes)), up(row.quality.kl)
    told = said(
        "{label}: {size}, {rate} tokens/s, {grade}",
        label=row.label,
        size=human(row.bytes),
        rate=words.interval(row.speed.decode_tokens_per_s),
        grade=said(row.quality.grade),
    )
    kind = {"fits": "dot", "shorter": "dot shorter", "no": "dot no"}[row.verdict]
    circle = tag("circle", hint(told), cx=x, cy=y, r=radius, class_=kind + (" shown" if shown else ""))
    speed = text(words.rate(likely), x, y + 3.5, "middle", "tiny onDot")
    return circle + speed + text(row.label, x, y - radius - 5, "middle", "strong" if shown else "small")
