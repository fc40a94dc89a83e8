"""A picture of a bench's figures: a panel for each, a bar for each side, a line from its least round to its most.

Does not know: what was measured, which side is better.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median
from xml.etree.ElementTree import Element, SubElement, tostring

WIDTH, LEFT, RIGHT = 760, 190, 90
TITLE, BAR, GAP, BETWEEN = 22, 16, 6, 18
COLOURS = ("#8a9a8b", "#2f6f4e", "#b5842f", "#3f6a94", "#7b4f8f")
STYLE = (
    "text{font:13px system-ui,sans-serif;fill:#26332b}.title{font-weight:600}.number{fill:#5a675f}"
    "@media(prefers-color-scheme:dark){text{fill:#dfe7e1}.number{fill:#a9b5ac}}"
)


def picture(found: Mapping[str, Mapping[str, Sequence[float]]]) -> str:
    """SVG of figures, each by its name: the rounds of each side. A side without rounds has no bar."""
    panels = {name: {side: rounds for side, rounds in sides.items() if rounds} for name, sides in found.items()}
    order = list(dict.fromkeys(side for sides in found.values() for side in sides))
    height = sum(TITLE + BETWEEN + len(sides) * (BAR + GAP) for sides in panels.values()) + BETWEEN
    root = Element("svg", {"xmlns": "http://www.w3.org/2000/svg", "viewBox": f"0 0 {WIDTH} {height}"})
    SubElement(root, "style").text = STYLE
    top = BETWEEN
    for name, sides in panels.items():
        write(root, 0, top + BAR - 3, name, "title")
        top += TITLE
        longest = max((max(rounds) for rounds in sides.values()), default=0.0) or 1.0
        for side, rounds in sides.items():
            bar(root, top, side, [each / longest for each in rounds], COLOURS[order.index(side) % len(COLOURS)])
            write(root, WIDTH - RIGHT + 8, top + BAR - 4, f"{median(rounds):.3g}", "number")
            top += BAR + GAP
        top += BETWEEN
    return tostring(root, encoding="unicode") + "\n"


def bar(root: Element, top: int, side: str, shares: Sequence[float], colour: str) -> None:
    """`shares`: its rounds, of the longest bar of its panel."""
    whole = WIDTH - LEFT - RIGHT
    write(root, 0, top + BAR - 4, side, "side")
    size = {"x": f"{LEFT}", "y": f"{top}", "width": f"{whole * median(shares):.1f}", "height": f"{BAR}"}
    SubElement(root, "rect", {**size, "rx": "3", "fill": colour})
    least, most = (f"{LEFT + whole * share:.1f}" for share in (min(shares), max(shares)))
    middle = f"{top + BAR / 2}"
    line = {"x1": least, "x2": most, "y1": middle, "y2": middle, "stroke": "#26332b", "stroke-width": "1.5"}
    SubElement(root, "line", line)


def write(root: Element, x: int, y: int, text: str, kind: str) -> None:
    """A line of text."""
    SubElement(root, "text", {"x": f"{x}", "y": f"{y}", "class": kind}).text = text


def save(path: Path, found: Mapping[str, Mapping[str, Sequence[float]]]) -> None:
    """The picture at `path`."""
    from penjing.files import write_whole

    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, picture(found).encode())
