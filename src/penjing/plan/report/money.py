"""The pictures of money: what both ways have cost by each month, and on which figure most hangs."""

from __future__ import annotations

from collections.abc import Iterator

from penjing.plan.bill import NAMES, Bill
from penjing.plan.cost import Swing, sensitivity
from penjing.plan.report.svg import WIDTH, Scale, hint, line, path, picture, steps, tag, text
from penjing.plan.said import Said, said

LEFT, RIGHT, TOP, BOTTOM, HEIGHT = 76.0, 120.0, 20.0, 44.0, 320.0
LABELS, VALUES, ROW, BAR = 210.0, 86.0, 30.0, 18.0
ENDS = (12, 24, 36, 60, 84, 120)
BEYOND = 1.25
"""How much further than the break-even the curve goes."""


def curve(bill: Bill) -> str:
    """Cumulative cost of both; the break-even is marked where there is one."""
    cost, even = bill.cost, bill.cost.break_even_months
    months = next((float(end) for end in ENDS if even is None or end >= even * BEYOND), float(ENDS[-1]))
    most = max(cost.local_after(months), cost.cloud_after(months)) * 1.08 or 1.0
    across, up = Scale(0, months, LEFT, WIDTH - RIGHT), Scale(0, most, HEIGHT - BOTTOM, TOP)
    parts = [*_money_axis(bill, up, most), *_month_axis(across, months)]
    ends = []
    for word, after, kind in ((said("cloud"), cost.cloud_after, "cloud"), (said("own"), cost.local_after, "own")):
        parts.append(path([(across(0), up(after(0))), (across(months), up(after(months)))], f"curve {kind}"))
        ends.append((up(after(months)), word, kind))
    parts += _names(ends)
    if even is not None and 0 < even <= months:
        parts += _break_even(even, across(even), up(cost.cloud_after(even)))
    return picture(HEIGHT, said("Money spent by each month, on the cloud and on your own"), *parts)


def _names(ends: list[tuple[float, Said, str]]) -> Iterator[str]:
    """The name of each line at its end, never one over the other."""
    last = 0.0
    for y, word, kind in sorted(ends, key=lambda end: end[0]):
        last = max(y + 4, last + 16)
        yield text(word, WIDTH - RIGHT + 8, last, class_=f"strong {kind}")


def _money_axis(bill: Bill, up: Scale, most: float) -> Iterator[str]:
    for value in steps(most):
        yield line(LEFT, up(value), WIDTH - RIGHT, up(value), "grid")
        yield text(bill.money(value) if value else "0", LEFT - 8, up(value) + 4, "end", "small")


def _month_axis(across: Scale, months: float) -> Iterator[str]:
    for value in steps(months, count=6):
        yield text(f"{value:g}", across(value), HEIGHT - BOTTOM + 18, "middle", "small")
    yield text(said("months"), (LEFT + WIDTH - RIGHT) / 2, HEIGHT - 6, "middle", "small faint")


def _break_even(months: float, x: float, y: float) -> Iterator[str]:
    yield line(x, y, x, HEIGHT - BOTTOM, "mark")
    yield tag("circle", cx=x, cy=y, r=5.0, class_="mark")
    words = said("even after {months:.1f} months", months=months)
    near_end = x > WIDTH * 0.6
    yield text(words, x - 9 if near_end else x + 9, HEIGHT - BOTTOM - 8, "end" if near_end else "start", "strong")


def tornado(bill: Bill) -> str:
    """Money saved over the whole time, where each figure is half as much and half as much again."""
    swings = sensitivity(bill.cost)
    base = bill.cost.saved
    ends = [base, *(end for swing in swings for end in (swing.low_saved, swing.high_saved))]
    low, high = min(ends), max(ends)
    margin = (high - low) * 0.04 or 1.0
    scale = Scale(low - margin, high + margin, LABELS, WIDTH - VALUES)
    bottom = TOP + ROW * len(swings)
    rows = "".join(_swing(bill, swing, scale, TOP + ROW * place) for place, swing in enumerate(swings))
    axis = [
        text(bill.money(value), scale(value), bottom + 18, "middle", "small")
        for value in steps(scale.high, scale.low, count=6)
    ]
    label = said("Saved after {months:g} months when one figure changes by half", months=bill.cost.months)
    middle = line(scale(base), TOP - 8, scale(base), bottom + 4, "mark")
    caption = text(label, (LABELS + WIDTH - VALUES) / 2, bottom + 38, "middle", "small faint")
    return picture(bottom + 46, label, rows, middle, *axis, caption)


def _swing(bill: Bill, swing: Swing, scale: Scale, y: float) -> str:
    base = bill.cost.saved
    found = [text(said(NAMES[swing.name]), LABELS - 10, y + 13, "end", "small")]
    for saved, kind in ((swing.low_saved, "less"), (swing.high_saved, "more")):
        start, end = sorted((scale(base), scale(saved)))
        words = _told(bill, swing, kind, saved)
        found.append(tag("rect", hint(words), x=start, y=y, width=max(end - start, 0.5), height=BAR, class_=kind))
    return "".join(found)


def _told(bill: Bill, swing: Swing, kind: str, saved: float) -> Said:
    months = swing.low_months if kind == "less" else swing.high_months
    even = said("even after {months:.1f} months", months=months) if months is not None else said("never even")
    half = said("half as much") if kind == "less" else said("half as much again")
    facts = {"name": said(NAMES[swing.name]), "half": half, "saved": bill.money(saved), "even": even}
    return said("{name}, {half}: {saved} saved, {even}", **facts)
