"""The map of a result among its peers: size to the right, quality upwards.

Does not know: how the peers were made or measured.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from penjing.files import human
from penjing.plan.quality import grade
from penjing.plan.report.scatter import BOTTOM, HEIGHT, TOP, Dot, across, axis, grades, names
from penjing.plan.report.svg import Scale, hint, picture, tag
from penjing.plan.said import said

BEST_SHARE, WORST = 0.3, 0.05
"""The picture begins at this share of the best loss, and shows at least WORST nats."""
LEAST, BEYOND = 1e-5, 1.8
RADIUS, LARGE = 6.0, 10.0
Origin = Literal["result", "origin", "measured", "published"]


@dataclass(frozen=True)
class Point:
    """A model of `bytes` that diverges by `kl` nats. `origin`: the result, what it was made from, a peer measured on
    this very model, or one that was published for another."""

    label: str
    bytes: int
    kl: float
    origin: Origin


KINDS = {"result": "dot shown", "origin": "dot origin", "measured": "dot", "published": "dot published"}
WORDS = {
    "result": "this result",
    "origin": "what it was made from",
    "measured": "measured on this model",
    "published": "published for another model",
}


def draw(points: Sequence[Point]) -> str:
    """All of them, the result on top."""
    sizes = across([float(point.bytes) for point in points])
    lossy = [point.kl for point in points if point.kl > LEAST] or [WORST]
    up = Scale(max(LEAST, min(lossy) * BEST_SHARE), max(WORST, *lossy) * BEYOND, TOP + LARGE, HEIGHT - BOTTOM, log=True)
    ordered = sorted(points, key=lambda point: list(KINDS).index(point.origin), reverse=True)
    placed = {point: _placed(point, sizes, up) for point in ordered}
    dots = [_dot(point, dot) for point, dot in placed.items()]
    shown = [placed[point] for point in reversed(ordered)]
    label = said("Quality and size of the result and of usual quantizations")
    return picture(HEIGHT, label, *grades(up), *axis(sizes), *dots, *names(shown))


def _placed(point: Point, sizes: Scale, up: Scale) -> Dot:
    radius = LARGE if point.origin == "result" else RADIUS
    return Dot(point.label, sizes(float(point.bytes)), up(max(point.kl, up.low)), radius, point.origin == "result")


def _dot(point: Point, dot: Dot) -> str:
    told = said(
        "{label}: {size}, {kl} nats, {grade} ({origin})",
        label=point.label,
        size=human(point.bytes),
        kl=f"{point.kl:.3g}",
        grade=said(grade(point.kl)),
        origin=said(WORDS[point.origin]),
    )
    return tag("circle", hint(told), cx=dot.x, cy=dot.y, r=dot.radius, class_=KINDS[point.origin])
