"""A quality as rows of figures: the model, its parent, and the difference with its interval.

Does not know: terminals, pages, languages.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from penjing.files import human
from penjing.plan.said import Said, said
from penjing.shrink.evaluate.quality import Estimate, Quality, TaskQuality, TextQuality

NOTHING = "-"
LARGEST = 700.0
"""The largest number whose exponential is one."""
POOR = 1000.0
"""A perplexity above which a text says little about a model."""


@dataclass(frozen=True)
class Row:
    """One figure: of the model, of its parent (`-` where it has none), and what lies between them."""

    name: Said
    ours: str
    theirs: str = NOTHING
    change: str = NOTHING


def rows(quality: Quality) -> list[Row]:
    """All figures."""
    found = list(_size(quality))
    if quality.text is not None:
        found += _text(quality.text, "")
        for part in quality.parts:
            found += _text(part, part.name)
    found += [_task(each) for each in quality.tasks]
    return found + list(_running(quality))


def remarks(quality: Quality) -> list[Said]:
    """What has to be known about the figures."""
    found = []
    if text := quality.text:
        found.append(
            said(
                "Read: {name}; {windows} windows of {context} tokens, {tokens} tokens scored.",
                name=text.name,
                windows=text.windows,
                context=text.context,
                tokens=text.tokens,
            )
        )
        if text.perplexity.value > POOR:
            found.append(said("The model does not know texts of this kind: take one that it was made for (--text)."))
    if quality.text is not None or quality.tasks:
        found.append(said("In brackets: the 95 % interval (paired bootstrap over passages and questions)."))
    return found


def heads(quality: Quality) -> tuple[Said, ...]:
    """Of the columns; without a parent there are two."""
    return (said(""), said("model"), *((said("parent"), said("difference")) if quality.parent else ()))


def cells(row: Row, quality: Quality) -> tuple[str, ...]:
    """Of the columns after the name."""
    return (row.ours, row.theirs, row.change) if quality.parent else (row.ours,)


def _size(quality: Quality) -> Iterator[Row]:
    part = percent(quality.bytes / quality.parent_bytes) if quality.parent_bytes else NOTHING
    parent = human(quality.parent_bytes) if quality.parent_bytes else NOTHING
    yield Row(said("size"), human(quality.bytes), parent, part)
    theirs = f"{quality.parent_bits_per_weight:.2f}" if quality.parent_bits_per_weight else NOTHING
    yield Row(said("bits a weight"), f"{quality.bits_per_weight:.2f}", theirs)


def _text(text: TextQuality, part: str) -> Iterator[Row]:
    def named(template: str) -> Said:
        return said("{what}, {part}", what=said(template), part=part) if part else said(template)

    against = text.against
    if against is None:
        yield Row(named("perplexity"), _ranged(text.perplexity, figure))
        return
    loss = against.loss
    low, value, high = (math.exp(min(each, LARGEST)) for each in (loss.low, loss.value, loss.high))
    change = "× " + _ranged(Estimate(value, low, high), figure)
    ours, theirs = figure(text.perplexity.value), figure(against.parent_perplexity)
    yield Row(named("perplexity"), ours, theirs, change)
    yield Row(named("KL divergence, mean (nats)"), "", "", _ranged(against.kl, figure))
    if not part:
        spread = " / ".join(figure(each) for each in (against.kl_median, against.kl_p99, against.kl_most))
        yield Row(said("KL divergence, p50 / p99 / most"), "", "", spread)
    yield Row(named("same likeliest token"), "", "", _ranged(against.same, percent))


def _task(task: TaskQuality) -> Row:
    name = said("{task}, {count} questions right", task=task.name, count=task.questions)
    ours = _ranged(task.accuracy, percent) if task.lost is None else percent(task.accuracy.value)
    if task.lost is None or task.parent_accuracy is None:
        return Row(name, ours)
    change = Estimate(-task.lost.value, -task.lost.high, -task.lost.low)
    return Row(name, ours, percent(task.parent_accuracy), _ranged(change, points))


def _running(quality: Quality) -> Iterator[Row]:
    ours, theirs = quality.running, quality.parent_running
    if ours is None:
        return
    for name, mine, other, shown in (
        ("resident memory", ours.memory, theirs.memory if theirs else 0, human),
        ("prefill tok/s", ours.prefill, theirs.prefill if theirs else 0, figure),
        ("decode tok/s", ours.decode, theirs.decode if theirs else 0, figure),
    ):
        change = f"× {mine / other:.2f}" if mine and other else NOTHING
        yield Row(said(name), shown(mine) if mine else NOTHING, shown(other) if other else NOTHING, change)


def figure(value: float) -> str:
    """Four digits that count.

    >>> figure(1.07), figure(0.000123456), figure(54321.7), figure(0.0)
    ('1.070', '0.0001235', '54322', '0')
    """
    return f"{value:.0f}" if abs(value) >= 1000 or not value else f"{value:#.4g}"


def percent(value: float) -> str:
    """One decimal, near to all two.

    >>> percent(0.97345), percent(0.99973), percent(1.0)
    ('97.3 %', '99.97 %', '100.0 %')
    """
    return f"{value * 100:.2f} %" if 0.995 <= value < 1 else f"{value * 100:.1f} %"


def points(value: float) -> str:
    """A difference of shares, in percentage points.

    >>> points(-0.0042), points(-0.0)
    ('-0.4', '+0.0')
    """
    return f"{round(value * 100, 1) + 0.0:+.1f}"


def _ranged(estimate: Estimate, shown: Callable[[float], str]) -> str:
    return f"{shown(estimate.value)} ({shown(estimate.low)} … {shown(estimate.high)})"
