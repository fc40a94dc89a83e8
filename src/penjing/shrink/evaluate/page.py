"""The page of an evaluation: the table, and pictures of what was lost; one file that needs nothing else.

Does not know: how anything was measured, where the page is written.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from penjing.plan.report.frame import About, in_both, render
from penjing.plan.report.svg import WIDTH, Scale, hint, line, picture, steps, tag, text
from penjing.plan.said import Said, said
from penjing.shrink.evaluate.quality import Estimate, Quality
from penjing.shrink.evaluate.sheet import cells, figure, heads, remarks, rows

LEFT, RIGHT, BAR, GAP, TOP, BOTTOM = 210.0, 84.0, 18.0, 12.0, 8.0, 30.0
OURS, THEIRS = "own", "cloud"
"""Classes of the sheet of styles for the model and its parent."""
MEGA = 1e6


@dataclass(frozen=True)
class Bar:
    """One figure: its end, and where the thin line of its interval goes from and to."""

    value: float
    low: float
    high: float
    colour: str = OURS

    @classmethod
    def of(cls, estimate: Estimate, times: float = 1.0) -> Bar:
        """With its interval."""
        return cls(estimate.value * times, estimate.low * times, estimate.high * times)

    @classmethod
    def plain(cls, value: float, colour: str = OURS) -> Bar:
        """Without."""
        return cls(value, value, value, colour)


Group = tuple[Said, Sequence[Bar]]
"""Bars that stand under one word."""


def page(about: About, quality: Quality, language: str = "en") -> str:
    """The whole file. `language` is shown first; the reader may switch."""
    return render("evaluate.html", values(about, quality, language))


def values(about: About, quality: Quality, language: str) -> dict[str, Any]:
    """What the template shows; pictures are markup."""
    from markupsafe import Markup

    def both(sentence: Said) -> Markup:
        return Markup(in_both(sentence))

    place = said("{model} against {parent}", model=quality.model, parent=quality.parent)
    names = [(quality.model, OURS), *([(quality.parent, THEIRS)] if quality.parent else [])]
    return {
        "about": about,
        "language": language,
        "verb": "evaluate",
        "eyebrow": both(said("Measured")),
        "place": both(place) if quality.parent else quality.model,
        "names": names,
        "charts": [(both(title), Markup(drawn), both(legend)) for title, drawn, legend in charts(quality)],
        "table": both(said("All figures")),
        "about_figures": both(said("How it was measured")),
        "heads": [both(each) for each in heads(quality)],
        "rows": [(both(row.name), cells(row, quality)) for row in rows(quality)],
        "remarks": [both(each) for each in remarks(quality)],
    }


def charts(quality: Quality) -> Iterator[tuple[Said, str, Said]]:
    """Title, picture, legend; those that there are figures for."""
    interval = said("The thin line is the 95 % interval.")
    if quality.tasks:
        title = said("Questions answered right")
        yield title, bars(title, list(_answers(quality)), " %", 100.0), interval
    if against := list(_divergence(quality)):
        title = said("KL divergence from the parent, nats a token")
        yield title, bars(title, against, ""), interval
        title = said("Positions with the parent's likeliest token")
        yield title, bars(title, list(_same(quality)), " %", 100.0), interval
    title = said("Bytes")
    yield title, bars(title, list(_bytes(quality)), " MB"), said("Of the tensors, and of the engine while it answers.")
    if quality.running is not None:
        title = said("Tokens a second on this machine")
        yield title, bars(title, list(_speed(quality)), ""), said("Of one conversation alone.")


def _answers(quality: Quality) -> Iterator[Group]:
    for task in quality.tasks:
        theirs = [Bar.plain(task.parent_accuracy * 100, THEIRS)] if task.parent_accuracy is not None else []
        yield said("{name}", name=task.name), [Bar.of(task.accuracy, 100.0), *theirs]


def _divergence(quality: Quality) -> Iterator[Group]:
    for part in quality.parts or ((quality.text,) if quality.text else ()):
        if part.against is not None:
            yield said("{name}", name=part.name), [Bar.of(part.against.kl)]


def _same(quality: Quality) -> Iterator[Group]:
    for part in quality.parts or ((quality.text,) if quality.text else ()):
        if part.against is not None:
            yield said("{name}", name=part.name), [Bar.of(part.against.same, 100.0)]


def _bytes(quality: Quality) -> Iterator[Group]:
    yield said("size"), _pair(quality.bytes / MEGA, quality.parent_bytes / MEGA)
    ours, theirs = quality.running, quality.parent_running
    if ours is not None and ours.memory:
        yield said("resident memory"), _pair(ours.memory / MEGA, theirs.memory / MEGA if theirs else 0.0)


def _speed(quality: Quality) -> Iterator[Group]:
    ours, theirs = quality.running, quality.parent_running
    if ours is not None:
        yield said("prefill tok/s"), _pair(ours.prefill, theirs.prefill if theirs else 0.0)
        yield said("decode tok/s"), _pair(ours.decode, theirs.decode if theirs else 0.0)


def _pair(ours: float, theirs: float) -> list[Bar]:
    return [Bar.plain(ours), *([Bar.plain(theirs, THEIRS)] if theirs else [])]


def bars(title: Said, groups: Sequence[Group], unit: str, high: float = 0.0) -> str:
    """A bar for each figure, those of one group beside each other; the axis ends at `high`, or at the largest."""
    high = high or max((bar.high for _, each in groups for bar in each), default=1.0) or 1.0
    across = Scale(0.0, high, LEFT, WIDTH - RIGHT)
    count = sum(len(each) for _, each in groups)
    height = TOP + count * BAR + len(groups) * GAP + BOTTOM
    parts = []
    for value in steps(high):
        x = across(value)
        parts.append(line(x, TOP, x, height - BOTTOM, "grid"))
        parts.append(text(f"{value:g}{unit}", x, height - BOTTOM + 18, "middle", "small faint"))
    y = TOP
    for name, each in groups:
        parts.append(text(name, LEFT - 12, y + BAR * len(each) / 2 + 4, "end", "small"))
        for bar in each:
            parts += _bar(across, y, bar, name, unit)
            y += BAR
        y += GAP
    return picture(height, title, *parts)


def _bar(across: Scale, y: float, bar: Bar, name: Said, unit: str) -> Iterator[str]:
    middle, told = y + BAR / 2, f"{figure(bar.value)}{unit}"
    wide = max(across(bar.value) - LEFT, 1.0)
    about = said("{name}: {value} ({low} … {high})", name=name, value=told, low=figure(bar.low), high=figure(bar.high))
    yield tag("rect", hint(about), x=LEFT, y=y + 2, width=wide, height=BAR - 4, class_=bar.colour)
    if bar.low < bar.high:
        yield line(across(bar.low), middle, across(bar.high), middle, "axis")
    yield text(told, across(max(bar.value, bar.high)) + 6, middle + 4, "start", "small label")
