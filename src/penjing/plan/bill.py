"""What a plan costs, in sentences: the comparison with a cloud, and which of its figures are assumed.

Does not know: where figures were typed, how a page shows them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from penjing.plan.answer import Row
from penjing.plan.cost import DAYS, Cost
from penjing.plan.place import Place
from penjing.plan.said import Said, said

WATTS = {"phone": 5.0, "board": 10.0, "computer": 60.0}
"""Power while answering by the kind of device (assumed)."""
SYMBOLS = {"USD": "$", "CNY": "¥", "EUR": "€", "GBP": "£", "JPY": "¥"}
LONGEST = 120.0
"""Months beyond which years are told."""
NAMES = {
    "conversations_per_day": "conversations a day",
    "question_tokens": "tokens of a question",
    "answer_tokens": "tokens of an answer",
    "turns": "turns of a conversation",
    "seconds": "seconds of a conversation here",
    "watts": "power while answering",
    "idle_watts": "power when idle",
    "tariff": "price of a kilowatt-hour",
    "hours": "hours of work",
    "hourly_rate": "price of an hour of work",
    "rate": "price of an hour of work",
    "hardware": "price of the hardware",
    "price": "the cloud's price",
    "exchange": "the dollar's price",
}


@dataclass(frozen=True)
class Bill:
    """`cloud` is the model compared with, its price `read` (ISO 8601) at `source`, both empty for one's own figures.
    `assumed` names figures (of NAMES) that nobody gave."""

    cost: Cost
    cloud: str
    currency: str = "USD"
    read: str = ""
    source: str = ""
    assumed: tuple[str, ...] = ()

    def money(self, amount: float) -> str:
        """With its currency."""
        return money(amount, self.currency)


def money(amount: float, currency: str) -> str:
    """An amount with its currency, as many digits as say something.

    >>> money(1234.5, "USD"), money(0.00275, "CNY"), money(-8, "CHF")
    ('$1,234', '¥0.0027', '-CHF 8')
    """
    size = abs(amount)
    whole = size >= 1000 or size == round(size)
    digits = f"{size:,.0f}" if whole else f"{size:.2f}" if size >= 0.1 else f"{size:.2g}"
    symbol = SYMBOLS.get(currency, f"{currency} ")
    return ("-" if amount < 0 else "") + symbol + digits


def seconds_of(row: Row, fresh_tokens: float, written_tokens: float) -> float:
    """Seconds that one conversation takes a machine: reading what is new, writing the answers."""
    speed = row.speed
    return fresh_tokens / speed.prefill_tokens_per_s.likely + written_tokens / speed.decode_tokens_per_s.likely


def watts(place: Place) -> float:
    """Power to assume of a place."""
    return WATTS[place.device.kind if place.device is not None and not place.here else "computer"]


def sentences(bill: Bill) -> Iterator[tuple[Said, Said]]:
    """What each is about, and the sentence."""
    yield said("cloud"), cloud(bill)
    yield said("here"), local(bill)
    yield said("once"), once(bill)
    yield said("pays off"), pays_off(bill)
    if bill.assumed:
        yield said("assumed"), said("{line}", line=tuple(said(NAMES[name]) for name in bill.assumed))


def cloud(bill: Bill) -> Said:
    """What the cloud would have."""
    usage = bill.cost.usage
    facts = {
        "cloud": bill.cloud,
        "month": bill.money(bill.cost.cloud_per_month),
        "one": bill.money(bill.cost.cloud_per_conversation),
        "count": f"{usage.conversations_per_day:g}",
        "turns": f"{usage.turns:g}",
        "asked": f"{usage.question_tokens:g}",
        "answered": f"{usage.answer_tokens:g}",
        "read": bill.read,
    }
    if bill.read:
        return said(
            "{cloud} (price of {read}): {month} a month for {count} conversations a day at {one}, each of {turns} "
            "questions of {asked} and answers of {answered} tokens",
            **facts,
        )
    return said(
        "{cloud}: {month} a month for {count} conversations a day at {one}, each of {turns} questions of {asked} and "
        "answers of {answered} tokens",
        **facts,
    )


def local(bill: Bill) -> Said:
    """What running it here costs."""
    cost = bill.cost
    return said(
        "{month} of electricity a month: {kwh:.1f} kWh, {watts:g} W during {share:.0%} of the day",
        month=bill.money(cost.local_per_month),
        kwh=cost.kwh_per_month,
        watts=cost.running.watts,
        share=min(cost.load, 1.0),
    )


def once(bill: Bill) -> Said:
    """What is paid once."""
    setup = bill.cost.setup
    return said(
        "{total} = {hours:g} hours of work × {rate} + hardware {hardware}",
        total=bill.money(setup.total),
        hours=setup.hours,
        rate=bill.money(setup.rate),
        hardware=bill.money(setup.hardware),
    )


def pays_off(bill: Bill) -> Said:
    """When it has paid for itself, or that and why it never does."""
    cost = bill.cost
    if not cost.possible:
        hours = cost.load * 24
        return said("never: so many conversations would take {hours:.0f} hours a day here", hours=hours)
    months = cost.break_even_months
    if months is None:
        return said(
            "never: the cloud asks {cloud} a month, electricity alone is {local}",
            cloud=bill.money(cost.cloud_per_month),
            local=bill.money(cost.local_per_month),
        )
    if months == 0:
        return said("at once: nothing is paid for it")
    saved = bill.money(cost.saved_per_month)
    if months > LONGEST:
        return said(
            "after {years:.0f} years, at {saved} a month: hardly worth it for the money", years=months / 12, saved=saved
        )
    if months < 1:
        return said("after {days:.0f} days, at {saved} a month", days=max(1.0, months * DAYS), saved=saved)
    return said("after {months:.1f} months, at {saved} a month", months=months, saved=saved)
