"""The page of a bench: the table, and pictures of throughput and latency; one file that needs nothing else.

Does not know: how anything was measured, where the page is written.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from penjing.files import human
from penjing.operate.measure.figures import Spread
from penjing.operate.measure.load import Load
from penjing.operate.measure.outcome import Line, Outcome
from penjing.plan.report.frame import About, in_both, render
from penjing.plan.report.svg import WIDTH, Scale, hint, line, picture, steps, tag, text
from penjing.plan.said import Said, said

TITLES = {
    "bench": "Measured",
    "tokens": "Tokens a second, all answers together",
    "first": "Time to the first token",
    "gap": "Between two tokens",
    "whole": "Whole answers",
    "table": "All figures",
    "compared": "Beside each other",
    "remarks": "How it was measured",
}
LEGENDS = {
    "tokens": "The thin line is the range of the rounds.",
    "spread": "Milliseconds: the bar ends at the middle one of all (p50), the line at p90 and p99.",
}
HEADS = (
    "load",
    "TTFT p50/p90/p99 ms",
    "ITL p50/p90/p99 ms",
    "whole p50/p90/p99 ms",
    "prefill tok/s",
    "decode tok/s",
    "all tok/s",
)
LEFT, RIGHT, BAR, GAP, TOP, BOTTOM = 190.0, 62.0, 18.0, 12.0, 8.0, 30.0
COLOURS = ("own", "cloud")
"""Classes of the sheet of styles for the first subject and the second."""


def page(about: About, outcome: Outcome, language: str = "en") -> str:
    """The whole file. `language` is shown first; the reader may switch."""
    return render("bench.html", values(about, outcome, language))


def values(about: About, outcome: Outcome, language: str) -> dict[str, Any]:
    """What the template shows; pictures are markup."""
    from markupsafe import Markup

    def both(sentence: Said) -> Markup:
        return Markup(in_both(sentence))

    host = outcome.host
    template = "{cpu}, {cores} cores, {memory} memory, {system}"
    place = said(template, cpu=host.cpu, cores=host.cores, memory=human(host.memory), system=host.system)
    return {
        "about": about,
        "language": language,
        "verb": "bench",
        "eyebrow": both(said(TITLES["bench"])),
        "place": both(place),
        "titles": {name: both(said(title)) for name, title in TITLES.items()},
        "legends": {name: both(said(legend)) for name, legend in LEGENDS.items()},
        "heads": [both(said(head)) for head in HEADS],
        "names": [(result.name, colour) for result, colour in zip(outcome.results, COLOURS, strict=False)],
        "charts": [(both(said(TITLES[name])), Markup(drawn), both(legend)) for name, drawn, legend in charts(outcome)],
        "rows": [(result.name, both(shape(each.load)), cells(each)) for result, each in outcome.ordered],
        "compared": [(both(shape(load)), both(sentence)) for load, sentence in compared(outcome)],
        "remarks": [both(remark) for remark in remarks(outcome)],
    }


def shape(load: Load) -> Said:
    """A load in a few words."""
    if load.rate:
        return said("{prompt} → {output}, {rate:g}/s", prompt=load.prompt, output=load.output, rate=load.rate)
    return said("{prompt} → {output}, {clients} at once", prompt=load.prompt, output=load.output, clients=load.clients)


def charts(outcome: Outcome) -> Iterator[tuple[str, str, Said]]:
    """Name, picture, legend."""
    yield "tokens", bars(outcome, TITLES["tokens"], _tokens, ""), said(LEGENDS["tokens"])
    spreads: dict[str, Callable[[Line], Spread]] = {
        "first": lambda each: each.figures.first,
        "gap": lambda each: each.figures.gap,
        "whole": lambda each: each.figures.whole,
    }
    for name, of in spreads.items():
        yield name, bars(outcome, TITLES[name], _milliseconds(of), " ms"), said(LEGENDS["spread"])


Marks = tuple[float, tuple[float, ...]]
"""Where a bar ends, and places that its thin line goes through."""


def _tokens(each: Line) -> Marks:
    rates = [one.tokens for one in each.rounds]
    return each.figures.tokens, (min(rates), max(rates))


def _milliseconds(of: Callable[[Line], Spread]) -> Callable[[Line], Marks]:
    def marks(each: Line) -> Marks:
        found = of(each)
        return found.p50 * 1e3, (found.p90 * 1e3, found.p99 * 1e3)

    return marks


def bars(outcome: Outcome, title: str, of: Callable[[Line], Marks], unit: str) -> str:
    """A bar for each line, those of one load beside each other."""
    lines = outcome.ordered
    marks = [of(each) for _, each in lines]
    high = max((value for end, others in marks for value in (end, *others)), default=1.0) or 1.0
    across = Scale(0.0, high, LEFT, WIDTH - RIGHT)
    many = len(outcome.results)
    groups = -(-len(lines) // many)
    height = TOP + len(lines) * BAR + groups * GAP + BOTTOM
    parts = list(_axis(across, high, height, unit))
    for place, ((result, each), (end, others)) in enumerate(zip(lines, marks, strict=True)):
        y = TOP + place * BAR + (place // many) * GAP
        if place % many == 0:
            parts.append(text(shape(each.load), LEFT - 12, y + BAR * many / 2 + 4, "end", "small"))
        parts += _bar(across, y, end, others, f"{result.name}: {short(end)}{unit}", COLOURS[place % many], unit)
    return picture(height, said(title), *parts)


def _axis(across: Scale, high: float, height: float, unit: str) -> Iterator[str]:
    for value in steps(high):
        x = across(value)
        yield line(x, TOP, x, height - BOTTOM, "grid")
        yield text(f"{value:g}{unit}", x, height - BOTTOM + 18, "middle", "small faint")


def _bar(
    across: Scale, y: float, end: float, others: Sequence[float], told: str, colour: str, unit: str
) -> Iterator[str]:
    middle = y + BAR / 2
    wide = max(across(end) - LEFT, 1.0)
    yield tag("rect", hint(Said("{told}", {"told": told})), x=LEFT, y=y + 2, width=wide, height=BAR - 4, class_=colour)
    reach = (end, *others)
    yield line(across(min(reach)), middle, across(max(reach)), middle, "axis")
    for value in others:
        yield line(across(value), middle - 4, across(value), middle + 4, "axis")
    yield text(f"{short(end)}{unit}", across(max(reach)) + 6, middle + 4, "start", "small label")


def short(value: float) -> str:
    """Three digits."""
    return f"{value:.2f}" if value < 10 else f"{value:.1f}" if value < 100 else f"{value:.0f}"


def cells(each: Line) -> list[str]:
    """The figures of one line."""
    figures = each.figures
    spreads = ("/".join(short(value * 1e3) for value in (one.p50, one.p90, one.p99)) for one in _three(each))
    return [*spreads, short(figures.prefill.p50), short(figures.decode.p50), short(figures.tokens)]


def _three(each: Line) -> tuple[Spread, Spread, Spread]:
    return each.figures.first, each.figures.gap, each.figures.whole


def compared(outcome: Outcome) -> Iterator[tuple[Load, Said]]:
    """How many times as fast the first one is, load by load."""
    for each, ratios in zip(outcome.results[0].lines if outcome.results else (), outcome.compared, strict=False):
        if ratios.tokens is not None and ratios.first is not None:
            yield (
                each.load,
                said(
                    "tok/s × {tokens}, TTFT × {first}",
                    tokens=f"{ratios.tokens.median:.2f} ({ratios.tokens.least:.2f} … {ratios.tokens.most:.2f})",
                    first=f"{ratios.first.median:.2f} ({ratios.first.least:.2f} … {ratios.first.most:.2f})",
                ),
            )


def remarks(outcome: Outcome) -> Iterator[Said]:
    """What has to be known about the figures."""
    for result in outcome.results:
        for start in result.starts:
            template = "{name}: ready after {seconds:.2f} s, file not in memory" if start.cold else STARTED
            yield said(template, name=result.name, seconds=start.seconds)
        if result.fresh is not None and result.memory is not None:
            yield said(
                "{name}: memory {fresh} at the start, {memory} at the end",
                name=result.name,
                fresh=human(result.fresh.resident),
                memory=human(result.memory.resident),
            )
        for note in result.notes:
            yield said("{name}: {detail}", name=result.name, detail=said(note))
    if outcome.stopped:
        yield said("Stopped early: these are the figures until then.")


STARTED = "{name}: ready after {seconds:.2f} s"
