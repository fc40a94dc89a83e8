"""The page: texts in both languages, the pictures, one file that needs nothing else.

Does not know: where it is written, what was typed.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from penjing.files import human
from penjing.plan import bill as bills
from penjing.plan import devices, words
from penjing.plan.answer import Answer, Row
from penjing.plan.bill import Bill
from penjing.plan.report import landscape, memory, money
from penjing.plan.report.frame import About, in_both, render
from penjing.plan.said import Said, said

SIGNS = {"fits": "✓", "shorter": "~", "no": "✗"}
TITLES = {
    "plan": "Plan",
    "choices": "All quantizations",
    "memory": "Memory",
    "map": "Quality, size and speed",
    "cost": "Cost",
    "curve": "Money spent by each month",
    "tornado": "What it hangs on",
    "published": "Published speeds",
    "remarks": "What these figures rest on",
}
LEGENDS = {
    "map": "The number in a dot is tokens a second when answering; further up is closer to the unquantized "
    "model. Green ones fit, amber ones with less context, grey ones do not.",
    "memory": "A bar is everything that the engine takes for the context told; pale ones do not fit.",
    "tornado": "Each figure alone, half as much (light) and half as much again (dark); the line is the plan.",
}
HEADS = ("quantization", "weights", "memory", "longest context", "answering, tokens/s", "reading, tokens/s", "quality")


def page(about: About, answer: Answer, bill: Bill | None, language: str = "en") -> str:
    """The whole file. `language` is shown first; the reader may switch."""
    return render("plan.html", values(about, answer, bill, language))


def values(about: About, answer: Answer, bill: Bill | None, language: str) -> dict[str, Any]:
    """What the template shows. Texts of `both` and pictures are markup already."""
    from markupsafe import Markup

    def both(sentence: Said) -> Markup:
        return Markup(in_both(sentence))

    shown = answer.chosen or answer.nearest
    device = answer.place.device
    return {
        "about": about,
        "language": language,
        "both": both,
        "said": said,
        "verb": "plan",
        "eyebrow": both(said(TITLES["plan"])),
        "titles": {name: both(said(title)) for name, title in TITLES.items()},
        "legends": {name: both(said(text)) for name, text in LEGENDS.items()},
        "heads": [both(said(head)) for head in HEADS],
        "place": both(words.place(answer.place)),
        "verdict": answer.verdict,
        "sign": SIGNS[answer.verdict],
        "summary": both(words.verdict(answer)),
        "nearest": [both(line) for line in words.nearest(answer)],
        "cards": [(both(name), value, both(more)) for name, value, more in cards(answer, shown, bill)],
        "facts": [(both(name), value) for name, value in about.facts],
        "reason": both(words.reason(answer)) if shown is not None else None,
        "quality": both(words.quality(shown)) if shown is not None else None,
        "shown": shown,
        "rows": [cells(row) for row in answer.rows],
        "memory": Markup(memory.draw(answer)),
        "map": Markup(landscape.draw(answer)),
        "bill": [(both(name), both(sentence)) for name, sentence in bills.sentences(bill)] if bill else [],
        "curve": Markup(money.curve(bill)) if bill else None,
        "tornado": Markup(money.tornado(bill)) if bill else None,
        "price_source": bill.source if bill else "",
        "published": list(published(device)) if device is not None and not answer.place.here else [],
        "disagree": both(words.disagree()),
        "remarks": [both(remark) for remark in words.remarks(answer)],
        "quality_source": shown.quality.source if shown is not None else "",
    }


def cards(answer: Answer, row: Row | None, bill: Bill | None) -> Iterator[tuple[Said, str, Said]]:
    """The figures that people look for: name, value, what is beside it."""
    if row is None:
        return
    speed = row.speed
    answering, reading = speed.decode_tokens_per_s, speed.prefill_tokens_per_s
    yield said("answering"), words.rate(answering.likely), _between(answering.low, answering.high)
    yield said("reading"), words.rate(reading.likely), _between(reading.low, reading.high)
    yield said("memory"), human(row.need.total), said("of {size} that may be taken", size=human(answer.place.budget))
    yield (
        said("to download"),
        human(row.bytes),
        said("{bits:.1f} bits a weight", bits=row.candidate.model.bits_per_weight),
    )
    yield said("context"), f"{row.context:,}", said("tokens; {longest} at most", longest=f"{row.longest:,}")
    if bill is not None:
        even = bill.cost.break_even_months
        value = "∞" if even is None else f"{even:.1f}" if even < bills.LONGEST else f"{even:.0f}"
        yield said("pays off"), value, said("months") if even is not None else said("never")


def _between(low: float, high: float) -> Said:
    return said("tokens/s; between {low} and {high}", low=words.rate(low), high=words.rate(high))


def cells(row: Row) -> dict[str, Any]:
    """One row of the table."""
    speed = row.speed
    return {
        "row": row,
        "sign": SIGNS[row.verdict],
        "star": "*" if row.candidate.origin == "computed" else "",
        "values": (
            human(row.bytes),
            human(row.need.total),
            f"{row.longest:,}" if row.longest else "-",
            words.interval(speed.decode_tokens_per_s),
            words.interval(speed.prefill_tokens_per_s),
        ),
        "grade": said(row.quality.grade),
    }


def published(device: devices.Device) -> Iterator[tuple[str, str, str, str, bool]]:
    """Model, bits, what was published, what memory allows, whether both can be."""
    for one in devices.published():
        if one.device == device.name:
            ceiling = f"{one.ceiling(device):.1f}"
            yield one.model, str(one.bits), f"{one.tokens_per_second:g}", ceiling, one.believable(device)
