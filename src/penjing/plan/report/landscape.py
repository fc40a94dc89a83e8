"""The map of all quantizations: size to the right, quality upwards, speed as the size of the dot and a number in it."""

from __future__ import annotations

import math

from penjing.files import human
from penjing.plan import words
from penjing.plan.answer import Answer, Row
from penjing.plan.report.scatter import BOTTOM, HEIGHT, TOP, Dot, across, axis, grades, names
from penjing.plan.report.svg import Scale, hint, picture, tag, text
from penjing.plan.said import said

BEST = 0.0008
"""Nats at the top of the picture; what loses less is put there."""
WORST, BEYOND = 0.05, 1.8
"""Nats that are shown at least; how much further than the worst row the picture goes."""
SMALLEST, LARGEST = 5.0, 22.0
"""Radius of a dot."""


def draw(answer: Answer) -> str:
    """All rows."""
    shown = answer.chosen or answer.nearest
    sizes = across([float(row.bytes) for row in answer.rows])
    worst = max(WORST, *(row.quality.kl for row in answer.rows)) * BEYOND
    up = Scale(BEST, worst, TOP + LARGEST, HEIGHT - BOTTOM, log=True)
    fastest = max(row.speed.decode_tokens_per_s.likely for row in answer.rows)
    placed = [_placed(row, sizes, up, fastest, row is shown) for row in answer.rows]
    dots = [_dot(row, dot) for row, dot in zip(reversed(answer.rows), reversed(placed), strict=True)]
    label = said("Quality, size and speed of each quantization")
    return picture(HEIGHT, label, *grades(up), *axis(sizes), *dots, *names(placed))


def _placed(row: Row, across: Scale, up: Scale, fastest: float, shown: bool) -> Dot:
    share = math.sqrt(row.speed.decode_tokens_per_s.likely / fastest)
    radius = SMALLEST + (LARGEST - SMALLEST) * share
    return Dot(row.label, across(float(row.bytes)), up(row.quality.kl), radius, shown)


def _dot(row: Row, dot: Dot) -> str:
    told = said(
        "{label}: {size}, {rate} tokens/s, {grade}",
        label=row.label,
        size=human(row.bytes),
        rate=words.interval(row.speed.decode_tokens_per_s),
        grade=said(row.quality.grade),
    )
    kind = {"fits": "dot", "shorter": "dot shorter", "no": "dot no"}[row.verdict]
    circle = tag("circle", hint(told), cx=dot.x, cy=dot.y, r=dot.radius, class_=kind + (" shown" if dot.strong else ""))
    rate = words.rate(row.speed.decode_tokens_per_s.likely)
    return circle + text(rate, dot.x, dot.y + 3.5, "middle", "tiny onDot")
