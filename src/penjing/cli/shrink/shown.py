"""A plan before it begins and the result after it ended: rows for people, one document for programs.

Does not know: how anything was planned or done.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

from penjing.cli import talk
from penjing.cli.shrink.order import Carried, Ordered
from penjing.cli.table import print_rows
from penjing.files import human
from penjing.language import say
from penjing.plan.quality import grade
from penjing.shrink.planning import Planned
from penjing.shrink.recipe import chosen, values
from penjing.shrink.report.page import listed
from penjing.shrink.run import entry
from penjing.shrink.steps.kind import Loss, Outlook, Seconds


def plan(ordered: Ordered, *, quiet: bool = False) -> None:
    """What is foreseen. With `quiet` only what should be noticed."""
    foreseen = ordered.order.plan
    if not quiet:
        talk.data(f"{ordered.model} · {human(foreseen.before.bytes)}")
        print_rows([_head(), *(_row(at, each, at in ordered.done) for at, each in enumerate(foreseen.steps))])
        talk.data("")
        print_rows(list(_sums(ordered)))
    for remark in ordered.remarks:
        talk.warn("{detail}", detail=remark.words())


def _head() -> tuple[str, ...]:
    return "", say("step"), say("size after"), say("expected loss"), say("time"), say("options")


def _row(at: int, planned: Planned, done: bool) -> tuple[str, ...]:
    after = planned.after
    seconds = say("done before") if done else time(after.seconds)
    options = ", ".join(f"{name} {listed(value)}" for name, value in chosen(planned.step).items())
    about = say(planned.kind.about)
    return str(at + 1), about, size(after), loss(after.loss), seconds, options


def _sums(ordered: Ordered) -> Iterator[tuple[str, str]]:
    foreseen = ordered.order.plan
    before, after = foreseen.before.bytes, foreseen.after.bytes
    left = replace(foreseen, steps=tuple(each for at, each in enumerate(foreseen.steps) if at not in ordered.done))
    share = say("{share:.0f} % of {before}", share=100 * after / max(before, 1), before=human(before))
    yield say("size"), f"{size(foreseen.after)} ({share})"
    yield say("expected loss"), loss(foreseen.after.loss)
    yield say("time"), time(left.seconds)
    yield say("room on the disk"), human(foreseen.room)
    yield say("result"), _where(ordered)


def _where(ordered: Ordered) -> str:
    if ordered.kept:
        return say("a version of {name} in the store", name=ordered.order.name)
    return str(ordered.order.output)


def size(after: Outlook) -> str:
    """Exact where it is, else `at most` or `about`."""
    if after.most:
        return say("at most {size}", size=human(after.bytes))
    return human(after.bytes) if after.exact else say("about {size}", size=human(after.bytes))


def loss(found: Loss | None) -> str:
    """In words and nats; `measured` or `assumed`."""
    if found is None:
        return say("not known; it is measured")
    if found.high == 0:
        return say("none")
    about = say("{low:.2g} to {high:.2g} nats, assumed" if found.basis == "assumed" else "{low:.2g} to {high:.2g} nats")
    return f"{say(grade(found.likely))} ({about.format(low=found.low, high=found.high)})"


def time(found: Seconds) -> str:
    """As people say it; `assumed` where this machine never did that."""
    if found.high < 1:
        return say("a moment")
    template = "{low} to {high}, assumed" if found.basis == "assumed" else "{low} to {high}"
    return say(template, low=_span(found.low), high=_span(found.high))


def _span(seconds: float) -> str:
    return say("{seconds:.0f} s", seconds=max(seconds, 1)) if seconds < 90 else str(timedelta(seconds=round(seconds)))


def result(ordered: Ordered, carried: Carried) -> None:
    """What came of it."""
    found = carried.result
    facts = found.manifest.facts
    print_rows(list(_facts(ordered, carried)))
    talk.data("")
    sign = talk.painted("✓", talk.GREEN, sys.stdout)
    talk.data(f"{sign} {human(float(str(facts['bytes'])))}: {carried.version or found.model}")
    if carried.version:
        talk.note("Talk to it: penjing chat {name}", name=carried.version.name)


def _facts(ordered: Ordered, carried: Carried) -> Iterator[tuple[str, str]]:
    manifest = carried.result.manifest
    before, after = ordered.order.plan.before.bytes, float(str(manifest.facts["bytes"]))
    share = say("{share:.0f} % of {before}", share=100 * after / max(before, 1), before=human(before))
    yield say("size"), f"{human(after)} ({share}), {manifest.facts['bits_per_weight']} bpw"
    quality: dict[str, Any] = manifest.quality
    text = quality.get("text") or {}
    if against := text.get("against"):
        kl, same = against["kl"], against["same"]
        yield say("loss"), say(
            "{word}: {value:.3g} nats ({low:.3g} to {high:.3g}); the same next word in {same:.1%}",
            word=grade(kl["value"]), value=kl["value"], low=kl["low"], high=kl["high"], same=same["value"],
        )  # fmt: skip
        yield say("perplexity"), f"{against['parent_perplexity']:.4g} → {text['perplexity']['value']:.4g}"
    for task in quality.get("tasks", ()):
        now, was = task["accuracy"]["value"], task["parent_accuracy"]
        yield task["name"], f"{was:.1%} → {now:.1%}" if was is not None else f"{now:.1%}"


def document(ordered: Ordered, carried: Carried | None = None) -> dict[str, Any]:
    """Everything, as JSON; units in the names."""
    order = ordered.order
    steps = [
        {
            "kind": each.step.kind,
            "options": values(each.step),
            "bytes": each.after.bytes,
            "bytes_exact": each.after.exact,
            "seconds": each.after.seconds.likely,
            "done": at in ordered.done,
        }
        for at, each in enumerate(order.plan.steps)
    ]
    found: dict[str, Any] = {
        "model": ordered.model,
        "licence": order.licence,
        "plan": {**order.plan.figures(), "steps": steps},
        "remarks": [remark.words("en") for remark in ordered.remarks],
    }
    if carried is not None:
        made = carried.result
        found["result"] = {
            "path": str(made.model),
            "version": str(carried.version) if carried.version else None,
            "facts": made.manifest.facts,
            "steps": [{**entry(each), "resumed": each.kept} for each in made.taken],
            "quality": made.manifest.quality,
        }
    return found
