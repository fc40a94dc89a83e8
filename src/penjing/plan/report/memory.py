"""The picture of memory: a bar for each quantization, a colour for each part, and the line of what may be taken."""

from __future__ import annotations

from collections.abc import Iterator

from penjing.files import human
from penjing.plan.answer import Answer, Row
from penjing.plan.report.svg import WIDTH, Scale, hint, line, picture, steps, tag, text
from penjing.plan.said import said

PARTS = {"weights": "weights", "kv": "context", "compute": "computing", "runtime": "engine"}
LEFT, RIGHT, TOP, ROW, BAR = 92.0, 84.0, 34.0, 26.0, 16.0


def draw(answer: Answer) -> str:
    """All rows, the smallest at the top."""
    shown, bottom = answer.chosen or answer.nearest, TOP + ROW * len(answer.rows)
    most = max(answer.place.budget * 1.08, *(row.need.total for row in answer.rows))
    if most > 4 * answer.rows[-1].need.total:  # a budget far away would make every bar a dot
        most = answer.rows[-1].need.total * 1.25
    scale = Scale(0.0, float(most), LEFT, WIDTH - RIGHT)
    bars = "".join(_bar(row, scale, TOP + ROW * place, row is shown) for place, row in enumerate(answer.rows))
    label = said("Memory of each quantization by part, in gigabytes")
    return picture(bottom + 34, label, *_legend(), *_axis(scale, most, bottom), bars, *_budget(answer, scale, bottom))


def _legend() -> Iterator[str]:
    at = LEFT
    for name, word in PARTS.items():
        yield tag("rect", x=at, y=6.0, width=11.0, height=11.0, rx=2.0, class_=name)
        yield text(said(word), at + 16, 15.5, class_="small")
        at += 118


def _axis(scale: Scale, most: float, bottom: float) -> Iterator[str]:
    for value in steps(most / 1e9):
        x = scale(value * 1e9)
        yield line(x, TOP - 6, x, bottom, "grid")
        yield text(f"{value:g}" + (" GB" if value == 0 else ""), x, bottom + 16, "middle", "small")


def _bar(row: Row, scale: Scale, y: float, shown: bool) -> str:
    found = [text(row.label, LEFT - 8, y + 12.5, "end", "strong" if shown else "")]
    at = 0
    for name, word in PARTS.items():
        size = getattr(row.need, name)
        start, end = scale(float(at)), scale(float(at + size))
        words = said("{label}, {part}: {size}", label=row.label, part=said(word), size=human(size))
        found.append(tag("rect", hint(words), x=start, y=y, width=max(end - start, 0.4), height=BAR, class_=name))
        at += size
    faint = " faint" if row.verdict == "no" else ""
    found.append(text(human(at), scale(float(at)) + 6, y + 12.5, class_="small" + faint))
    return tag("g", *found, class_=None if row.verdict == "fits" else row.verdict)


def _budget(answer: Answer, scale: Scale, bottom: float) -> Iterator[str]:
    if answer.place.budget <= scale.high:
        x = scale(float(answer.place.budget))
        yield line(x, TOP - 8, x, bottom, "budget")
        words = said("may be taken: {size}", size=human(answer.place.budget))
        yield text(words, x, bottom + 30, "middle", "small budget")
