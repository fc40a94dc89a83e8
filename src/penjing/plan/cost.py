"""What a model of one's own costs beside a cloud's, and when it has paid for itself.

    total       = development hours * rate + hardware
    cloud       = conversations * (tokens read * price + tokens written * price), a month
    local       = (power while it answers * hours of answering + idle power * the other hours) * tariff, a month
    break-even  = total / (cloud - local) months; never where the cloud costs no more

Money is in one currency, whichever; a month has 30.4375 days.

Does not know: models, where prices come from, how money is shown.
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass

from penjing.errors import InputError
from penjing.plan.prices import Price

DAYS = 365.25 / 12
HOURS = 24.0
MILLION = 1_000_000
SECONDS = 3600.0
SWING = 0.5
"""By how much each figure is moved for the sensitivity, as a share."""


class BadFigure(InputError):
    """A price or an amount that can be none. Facts: `name`, `value`, `wanted`."""

    template = "{name} = {value} cannot be: it must be {wanted}."
    hint = "Give what you pay, or leave it out for what is assumed."
    code = "invalid_figure"


POSITIVE, NOT_NEGATIVE = "more than 0", "at least 0"


@dataclass(frozen=True)
class Usage:
    """Conversations a day, `turns` of each, tokens of each question and of each answer. A cloud reads all that came
    before again at every turn, a model here has it in memory."""

    conversations_per_day: float = 100.0
    turns: int = 4
    question_tokens: float = 150
    answer_tokens: float = 250

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            require(field.name, getattr(self, field.name), POSITIVE)

    @property
    def read_tokens(self) -> float:
        """Tokens that a cloud reads for one conversation.

        >>> Usage(turns=2, question_tokens=10, answer_tokens=5).read_tokens
        35
        """
        before = self.turns * (self.turns - 1) // 2
        return self.fresh_tokens + before * (self.question_tokens + self.answer_tokens)

    @property
    def fresh_tokens(self) -> float:
        """Tokens of one conversation that are new, which is what a model here reads."""
        return self.turns * self.question_tokens

    @property
    def written_tokens(self) -> float:
        """Tokens of one conversation's answers."""
        return self.turns * self.answer_tokens


@dataclass(frozen=True)
class Running:
    """What answering takes here: `seconds` of one conversation, `watts` while it answers and `idle_watts` otherwise (0
    where the machine is on anyway), `tariff` for a kilowatt-hour."""

    seconds: float
    watts: float
    idle_watts: float = 0.0
    tariff: float = 0.15

    def __post_init__(self) -> None:
        require("seconds", self.seconds, POSITIVE)
        require("watts", self.watts, NOT_NEGATIVE)
        require("idle_watts", self.idle_watts, NOT_NEGATIVE)
        require("tariff", self.tariff, NOT_NEGATIVE)


@dataclass(frozen=True)
class Setup:
    """What is paid once: `hours` of work at `rate` an hour, `hardware`."""

    hours: float = 8.0
    rate: float = 50.0
    hardware: float = 0.0

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            require(field.name, getattr(self, field.name), NOT_NEGATIVE)

    @property
    def total(self) -> float:
        """Money."""
        return self.hours * self.rate + self.hardware


@dataclass(frozen=True)
class Cost:
    """One comparison over `months`. `price` is the cloud's for a million tokens."""

    setup: Setup
    usage: Usage
    running: Running
    price: Price
    months: float = 36.0

    def __post_init__(self) -> None:
        require("months", self.months, POSITIVE)
        require("input_price", self.price.input, POSITIVE)
        require("output_price", self.price.output, POSITIVE)

    @property
    def cloud_per_conversation(self) -> float:
        """Money."""
        usage = self.usage
        return (usage.read_tokens * self.price.input + usage.written_tokens * self.price.output) / MILLION

    @property
    def cloud_per_month(self) -> float:
        """Money."""
        return self.cloud_per_conversation * self.usage.conversations_per_day * DAYS

    @property
    def load(self) -> float:
        """The share of the day in which it answers; above 1 it cannot answer so many."""
        return self.usage.conversations_per_day * self.running.seconds / (HOURS * SECONDS)

    @property
    def kwh_per_month(self) -> float:
        """Kilowatt-hours."""
        busy = min(self.load, 1.0)
        return (busy * self.running.watts + (1 - busy) * self.running.idle_watts) * HOURS * DAYS / 1000

    @property
    def local_per_month(self) -> float:
        """Money."""
        return self.kwh_per_month * self.running.tariff

    @property
    def saved_per_month(self) -> float:
        """Money; below 0 where the cloud is cheaper."""
        return self.cloud_per_month - self.local_per_month

    @property
    def possible(self) -> bool:
        """Whether the day has enough hours for so many conversations."""
        return self.load <= 1

    @property
    def break_even_months(self) -> float | None:
        """Months until the cloud would have cost as much; None: never, or it cannot answer so many."""
        if not self.possible:
            return None
        if self.setup.total == 0:
            return 0.0 if self.saved_per_month >= 0 else None
        found = self.setup.total / self.saved_per_month if self.saved_per_month > 0 else math.inf
        return found if math.isfinite(found) else None

    @property
    def saved(self) -> float:
        """Money saved after all `months`; below 0 where it was lost."""
        return self.saved_per_month * self.months - self.setup.total

    def local_after(self, months: float) -> float:
        """Money spent on the own machine by then."""
        return self.setup.total + self.local_per_month * months

    def cloud_after(self, months: float) -> float:
        """Money the cloud has had by then."""
        return self.cloud_per_month * months


@dataclass(frozen=True)
class Swing:
    """What one figure does when it is `SWING` lower and higher: money saved after all months, break-even in months."""

    name: str
    low_value: float
    high_value: float
    low_saved: float
    high_saved: float
    low_months: float | None
    high_months: float | None

    @property
    def width(self) -> float:
        """How much hangs on it."""
        return abs(self.high_saved - self.low_saved)


FIGURES = {
    "conversations_per_day": "usage",
    "question_tokens": "usage",
    "answer_tokens": "usage",
    "seconds": "running",
    "watts": "running",
    "idle_watts": "running",
    "tariff": "running",
    "hours": "setup",
    "rate": "setup",
    "hardware": "setup",
}
"""Figures that are moved, by the part of `Cost` that has them; `price` is moved as a whole."""


def sensitivity(cost: Cost, swing: float = SWING) -> tuple[Swing, ...]:
    """The tornado: every figure moved alone, the one on which most hangs first; those that do nothing left out."""
    found = []
    for name in ("price", *FIGURES):
        low, high = moved(cost, name, 1 - swing), moved(cost, name, 1 + swing)
        value = figure(cost, name)
        ends = (low.saved, high.saved, low.break_even_months, high.break_even_months)
        found.append(Swing(name, value * (1 - swing), value * (1 + swing), *ends))
    return tuple(sorted((each for each in found if each.width > 0), key=lambda each: -each.width))


def figure(cost: Cost, name: str) -> float:
    """A figure by its name; the price is that of a conversation."""
    if name == "price":
        return cost.cloud_per_conversation
    return float(getattr(getattr(cost, FIGURES[name]), name))


def moved(cost: Cost, name: str, share: float) -> Cost:
    """The same with one figure multiplied by `share`."""
    if name == "price":
        return dataclasses.replace(cost, price=Price(cost.price.input * share, cost.price.output * share))
    part = FIGURES[name]
    values = getattr(cost, part)
    return dataclasses.replace(cost, **{part: dataclasses.replace(values, **{name: getattr(values, name) * share})})


def require(name: str, value: float, wanted: str) -> None:
    """Raises BadFigure unless `value` is finite and `wanted`."""
    if not math.isfinite(value) or value < 0 or (wanted == POSITIVE and value == 0):
        raise BadFigure(name=name, value=value, wanted=wanted)
