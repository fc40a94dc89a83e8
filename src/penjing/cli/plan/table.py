"""A plan for people: one sentence, what it rests on, and a row for each quantization."""

from __future__ import annotations

import sys
from collections.abc import Iterator

from penjing.cli import talk
from penjing.cli.plan.subject import Subject, smaller
from penjing.cli.table import print_rows
from penjing.files import human
from penjing.language import say
from penjing.plan import words
from penjing.plan.answer import Answer, Row
from penjing.plan.bill import Bill, sentences

SIGNS = {"fits": "✓", "shorter": "~", "no": "✗"}
COLOURS = {"fits": talk.GREEN, "shorter": talk.YELLOW, "no": talk.RED}


def show(subject: Subject, answer: Answer, bill: Bill | None) -> None:
    """Print it."""
    sign = talk.painted(SIGNS[answer.verdict], COLOURS[answer.verdict], sys.stdout)
    talk.data(f"{subject.title} · {words.place(answer.place).words()}")
    talk.data(f"{sign} {words.verdict(answer).words()}")
    for line in words.nearest(answer):
        talk.data(f"  {line.words()}")
    if answer.chosen is None and (names := smaller(subject.name, answer.place.budget)):
        talk.data("  " + say("Smaller ones that should fit: {names}", names=", ".join(names)))
    talk.data("")
    shown = answer.chosen or answer.nearest
    if shown is not None:
        print_rows(list(facts(answer, shown)))
        talk.data("")
    print_rows(list(quantizations(answer, shown)))
    if bill is not None:
        talk.data("")
        print_rows([(about.words(), sentence.words()) for about, sentence in sentences(bill)])
        talk.data("")
    for remark in words.remarks(answer):
        talk.data(f"{talk.painted('!', talk.YELLOW, sys.stdout)} {remark.words()}")


def facts(answer: Answer, row: Row) -> Iterator[tuple[str, str]]:
    """What is said of one quantization."""
    yield say("quantization"), f"{row.label}: {words.reason(answer).words()}"
    yield say("quality"), words.quality(row).words()
    yield say("memory"), words.memory(row).words()
    if (card := words.on_card(answer, row)) is not None:
        yield say("on the GPU"), card.words()
    speed = row.speed
    decode = say("{rate} tokens/s", rate=words.interval(speed.decode_tokens_per_s))
    if row.slots > 1:
        decode += say(", {slots} answers together", slots=row.slots)
    yield say("answering"), decode
    prefill = words.interval(speed.prefill_tokens_per_s)
    seconds = f"{speed.prefill_seconds:.1f}"
    yield (
        say("reading"),
        say("{rate} tokens/s; {seconds} s until a prompt of 512 is answered", rate=prefill, seconds=seconds),
    )


def quantizations(answer: Answer, shown: Row | None) -> Iterator[tuple[str, ...]]:
    """A head, and a row for each."""
    yield (
        "",
        say("quantization"),
        say("weights"),
        say("memory"),
        say("longest context"),
        say("answering, tokens/s"),
        say("reading, tokens/s"),
        say("quality"),
    )
    for row in answer.rows:
        mark = "→" if row is shown else SIGNS[row.verdict]
        yield (
            mark,
            row.label + ("*" if row.candidate.origin == "computed" else ""),
            human(row.bytes),
            human(row.need.total),
            f"{row.longest:,}" if row.longest else "-",
            words.interval(row.speed.decode_tokens_per_s),
            words.interval(row.speed.prefill_tokens_per_s),
            say(row.quality.grade),
        )
