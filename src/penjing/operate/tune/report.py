"""The page of a tuning: what was chosen and why, pictures of all that was tried; one file that needs nothing else.

Does not know: how anything was measured, where the page is written.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from penjing.operate.measure.report import short
from penjing.operate.tune.kept import Figures, Tuned
from penjing.plan.report.frame import About, in_both, render
from penjing.plan.report.svg import WIDTH, Scale, hint, line, picture, steps, tag, text
from penjing.plan.said import Said, said

TITLES = {
    "tune": "Tuned",
    "prefill": "Reading a prompt, tokens a second",
    "decode": "Answering, tokens a second",
    "many": "Four answers at once, tokens a second",
    "table": "Everything that was tried",
    "chosen": "Chosen",
}
WORKLOADS = {
    "chat": "a conversation: 256 tokens read, 256 answered",
    "prefill": "long documents: 2,048 tokens read, 128 answered",
    "many": "several at once: four answers together",
}
HEADS = ("computed by", "turned", "reading tok/s", "answering tok/s", "four at once tok/s", "same next words")
LEGEND = "The bar is the middle round, the thin line the range of the rounds. Green: chosen for a workload."
LEFT, RIGHT, BAR, TOP, BOTTOM = 300.0, 62.0, 20.0, 8.0, 30.0


def page(about: About, tuned: Tuned, language: str = "en") -> str:
    """The whole file. `language` is shown first; the reader may switch."""
    from markupsafe import Markup

    def both(sentence: Said) -> Markup:
        return Markup(in_both(sentence))

    values: dict[str, Any] = {
        "about": about,
        "language": language,
        "verb": "tune",
        "eyebrow": both(said(TITLES["tune"])),
        "place": tuned.machine,
        "titles": {name: both(said(title)) for name, title in TITLES.items()},
        "legend": both(said(LEGEND)),
        "heads": [both(said(head)) for head in HEADS],
        "chosen": [(both(said(WORKLOADS[name])), both(why(tuned, name))) for name in tuned.chosen],
        "charts": [(both(said(TITLES[name])), Markup(bars(tuned, name))) for name in ("prefill", "decode", "many")],
        "rows": [(each.way in tuned.chosen.values(), cells(each)) for each in tuned.tried],
    }
    return render("tune.html", values)


def why(tuned: Tuned, workload: str) -> Said:
    """What was chosen for a workload, and how much quicker it is than the usual way."""
    way, usual = tuned.chosen[workload], tuned.tried[0]
    found = tuned.figures(way)
    label = ", ".join(filter(None, (way.computes, way.turned)))
    if found is None or way == usual.way:
        return said("{label}: nothing that was tried is quicker", label=label)
    return said(
        "{label}: reads {prefill} times as fast as the usual way, answers {decode} times, four at once {many} times",
        label=label,
        prefill=times(found.prefill, usual.prefill),
        decode=times(found.decode, usual.decode),
        many=times(found.many, usual.many),
    )


def times(one: float, other: float) -> str:
    """
    >>> times(3.0, 2.0), times(1.0, 0.0)
    ('1.50', '-')
    """
    return f"{one / other:.2f}" if other else "-"


def cells(each: Figures) -> list[str]:
    """The figures of one way."""
    if each.error:
        return [each.way.computes, each.way.turned, each.error, "", "", ""]
    same = "-" if each.same is None else f"{each.same:.0%}"
    columns = zip(*each.rounds, strict=True)
    return [each.way.computes, each.way.turned, *(ranged(list(values)) for values in columns), same]


def ranged(values: list[float]) -> str:
    """The middle one with the range of all."""
    middle = sorted(values)[len(values) // 2]
    return f"{short(middle)} ({short(min(values))} … {short(max(values))})"


def bars(tuned: Tuned, name: str) -> str:
    """A bar for each way that could be tried."""
    place = ("prefill", "decode", "many").index(name)
    shown = [each for each in tuned.tried if each.rounds and not each.error]
    high = max((values[place] for each in shown for values in each.rounds), default=1.0) or 1.0
    across, height = Scale(0.0, high, LEFT, WIDTH - RIGHT), TOP + len(shown) * BAR + BOTTOM
    parts = list(_axis(across, high, height))
    for row, each in enumerate(shown):
        label = ", ".join(filter(None, (each.way.computes, each.way.turned)))
        reach = [values[place] for values in each.rounds]
        colour = "own" if each.way in tuned.chosen.values() else "cloud"
        parts += _bar(across, TOP + row * BAR, getattr(each, name), reach, label, colour)
    return picture(height, said(TITLES[name]), *parts)


def _axis(across: Scale, high: float, height: float) -> Iterator[str]:
    for value in steps(high):
        x = across(value)
        yield line(x, TOP, x, height - BOTTOM, "grid")
        yield text(f"{value:g}", x, height - BOTTOM + 18, "middle", "small faint")


def _bar(across: Scale, y: float, end: float, reach: list[float], label: str, colour: str) -> Iterator[str]:
    middle, wide = y + BAR / 2, max(across(end) - LEFT, 1.0)
    told = hint(Said("{told}", {"told": f"{label}: {short(end)}"}))
    yield text(label, LEFT - 10, middle + 4, "end", "small")
    yield tag("rect", told, x=LEFT, y=y + 3, width=wide, height=BAR - 6, class_=colour)
    yield line(across(min(reach)), middle, across(max(reach)), middle, "axis")
    yield text(short(end), across(max(*reach, end)) + 6, middle + 4, "start", "small label")
