"""What tuning found: a table with bars on a terminal, JSON, Markdown, or a page of pictures."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from penjing.cli import forms, talk
from penjing.cli.forms import Forms
from penjing.cli.table import print_rows
from penjing.language import say
from penjing.operate.tune.kept import Tuned
from penjing.operate.tune.report import HEADS, WORKLOADS, cells, page, why

WIDE = 24
FULL, EIGHTHS = "█", " ▏▎▍▌▋▊▉"
CHOSEN = "*"


def deliver(known: Tuned, into: Iterable[tuple[Path, str]], given: dict[str, Any]) -> None:
    """Write and print it as asked."""
    made = Forms(
        lambda: document(known), lambda: markdown(known), lambda: page(forms.about(known.model, known.when), known)
    )
    forms.deliver(made, into, given, lambda: show(known))


def document(known: Tuned) -> object:
    """For programs."""
    import msgspec

    return msgspec.to_builtins(known)


def markdown(known: Tuned) -> str:
    """A table."""
    heads = [say(head) for head in HEADS]
    lines = ["| " + " | ".join(heads) + " |", "|" + " --- |" * len(heads)]
    lines += ["| " + " | ".join(cells(each)) + " |" for each in known.tried]
    return "\n".join(lines) + "\n"


def show(known: Tuned) -> None:
    """For people: bars, then what was chosen and why."""
    tried = [each for each in known.tried if each.rounds and not each.error]
    most = {name: max((getattr(each, name) for each in tried), default=1.0) for name in ("prefill", "decode")}
    heads = ("", say("computed by"), say("reading tok/s"), say("answering tok/s"), say("four at once"))
    rows: list[tuple[str, ...]] = [heads]
    for each in tried:
        star = CHOSEN if each.way in known.chosen.values() else ""
        label = ", ".join(filter(None, (each.way.computes, each.way.turned)))
        drawn = [f"{bar(getattr(each, name) / most[name])} {getattr(each, name):.4g}" for name in most]
        rows.append((star, label, *drawn, f"{each.many:.4g}"))
    print_rows(rows)
    talk.data("")
    for workload in known.chosen:
        talk.data(f"{say(WORKLOADS[workload])}: {why(known, workload).words()}")
    for each in known.tried:
        if each.error:
            talk.data(say("not tried: {label}: {detail}", label=each.way.computes, detail=each.error))
    _tell(known)


def _tell(known: Tuned) -> None:
    if known.wanted:
        talk.note(
            "Chats and servers of {model} take it from now on; penjing tune --forget takes it back.", model=known.model
        )
    else:
        talk.note(
            "From now on chats of {model} take the one for a conversation, servers that for several at once; penjing "
            "tune --forget takes it back.",
            model=known.model,
        )


def bar(share: float) -> str:
    """
    >>> bar(1.0) == FULL * WIDE, len(bar(0.51)) == WIDE
    (True, True)
    """
    eighths = round(share * WIDE * 8)
    whole, rest = divmod(eighths, 8)
    return (FULL * whole + (EIGHTHS[rest] if rest else "")).ljust(WIDE)
