"""Elements of a picture, scales, and round numbers for axes. Colours are CSS classes, so that a page in the dark has
its own.

Does not know: what is drawn.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape

from penjing.plan.said import Said

WIDTH = 720.0
"""Of every picture, in its own units; the page stretches it."""


def tag(name: str, *children: str, **attributes: object) -> str:
    """One element. `class_` is `class`, `_` in names is `-`; attributes that are None are left out.

    >>> tag("rect", width=3.14159, class_="a")
    '<rect width="3.14" class="a"/>'
    """
    written = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{escape(number(value))}"'
        for key, value in attributes.items()
        if value is not None
    )
    inner = "".join(children)
    return f"<{name}{written}>{inner}</{name}>" if inner else f"<{name}{written}/>"


def number(value: object) -> str:
    """Two decimals are finer than any screen."""
    return f"{value:.2f}".rstrip("0").rstrip(".") if isinstance(value, float) else str(value)


def text(content: str | Said, x: float, y: float, anchor: str = "start", class_: str = "") -> str:
    """A line of text; what is `Said` in both languages, of which the page shows one."""
    placed = {"x": x, "y": y, "text_anchor": anchor}
    if isinstance(content, str):
        return tag("text", escape(content), **placed, class_=class_ or None)
    return "".join(
        tag("text", escape(content.words(language)), **placed, class_=f"{class_} {language}".strip())
        for language in ("en", "zh")
    )


def hint(content: Said) -> str:
    """What a pointer that rests on an element is told, in both languages."""
    return tag("title", escape(f"{content.words('en')}\n{content.words('zh')}"))


def line(x1: float, y1: float, x2: float, y2: float, class_: str) -> str:
    return tag("line", x1=x1, y1=y1, x2=x2, y2=y2, class_=class_)


def path(points: Iterable[tuple[float, float]], class_: str) -> str:
    """Straight from point to point."""
    steps = " L".join(f"{x:.2f} {y:.2f}" for x, y in points)
    return tag("path", d=f"M{steps}", class_=class_)


def picture(height: float, label: Said, *children: str) -> str:
    """The whole, with its name for those who do not see it."""
    names = "".join(tag("g", tag("title", escape(label.words(language))), class_=language) for language in ("en", "zh"))
    return tag("svg", names, *children, viewBox=f"0 0 {WIDTH:g} {height:g}", role="img", class_="chart")


@dataclass(frozen=True)
class Scale:
    """Values between `low` and `high` to places between `start` and `end`, on a logarithm where `log`."""

    low: float
    high: float
    start: float
    end: float
    log: bool = False

    def __call__(self, value: float) -> float:
        low, high, at = self.low, self.high, value
        if self.log:
            low, high, at = math.log(low), math.log(high), math.log(max(value, self.low))
        share = (at - low) / (high - low) if high > low else 0.5
        return self.start + share * (self.end - self.start)


def steps(high: float, low: float = 0.0, count: int = 5) -> Sequence[float]:
    """Round numbers from `low` to `high`, about `count` of them.

    >>> steps(4.3)
    [0.0, 1.0, 2.0, 3.0, 4.0]
    """
    span = high - low
    if not span > 0 or not math.isfinite(span):
        return [low]
    rough = span / count
    unit = 10.0 ** math.floor(math.log10(rough))
    size = next(unit * times for times in (1, 2, 5, 10) if unit * times >= rough)
    first = math.ceil(low / size - 1e-9)
    return [round(size * index, 12) for index in range(first, math.floor(high / size + 1e-9) + 1)]
