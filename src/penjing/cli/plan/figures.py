"""Money and habits of a plan: what was given on the command line or in the settings, the rest assumed and named so.

The catalogue's prices and everything assumed are US dollars; what a person gives is in their `currency`.

Does not know: how costs are computed (`plan.cost`).
"""

from __future__ import annotations

import dataclasses
import difflib
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from penjing.cli.verb import option
from penjing.errors import InputError, SettingError
from penjing.settings import DEFAULT, load

if TYPE_CHECKING:
    from penjing.plan.answer import Answer
    from penjing.plan.bill import Bill
    from penjing.plan.prices import Listed, Price

DOLLARS = "USD"
SECTION = "plan"
POSITIVE = ("conversations", "turns", "question_tokens", "answer_tokens", "input_price", "output_price", "exchange")
NOT_NEGATIVE = ("hours", "hourly_rate", "hardware", "watts", "idle_watts", "tariff")
IN_DOLLARS = ("hourly_rate", "hardware", "tariff")
"""Money that is assumed where nobody gives it."""
TOLD = ("hours", "hourly_rate", "tariff", "watts")
"""What is named where it is assumed; the rest stands in the sentences."""


class UnknownCloud(InputError):
    """Facts: `cloud`, `near` (comma-separated)."""

    template = "penjing knows no price of {cloud!r}."
    hint = "Near it: {near}. Or give yours for a million tokens: --input-price, --output-price"
    code = "unknown_cloud"


class HalfAPrice(InputError):
    """Facts: `given`, `missing`."""

    template = "{given} alone is half a price."
    hint = "Give {missing} too."
    code = "half_a_price"


class ExchangeNeeded(InputError):
    """Facts: `currency`, `what` (comma-separated)."""

    template = "Not everything is in {currency}: {what} would be in US dollars."
    hint = "Say how many {currency} a dollar is: --exchange NUMBER"
    code = "exchange_needed"


@dataclass(frozen=True)
class PlanSettings:
    """`cloud` is the model compared with, by its cloud's name; `input_price` and `output_price` (for a million tokens)
    take the place of its price. A conversation has `turns` of so many tokens. `hours` of work cost `hourly_rate` each.
    `tariff` is the price of a kilowatt-hour, `exchange` of a US dollar."""

    cloud: str = "gpt-5-mini"
    input_price: float | None = None
    output_price: float | None = None
    conversations: float = 100.0
    turns: int = 4
    question_tokens: int = 150
    answer_tokens: int = 250
    hours: float = 8.0
    hourly_rate: float = 50.0
    hardware: float = 0.0
    watts: float | None = None
    idle_watts: float = 0.0
    tariff: float = 0.15
    currency: str = DOLLARS
    exchange: float | None = None

    def __post_init__(self) -> None:
        for name in (*POSITIVE, *NOT_NEGATIVE):
            value = getattr(self, name)
            if value is None or (math.isfinite(value) and (value > 0 or (value == 0 and name in NOT_NEGATIVE))):
                continue
            if name in POSITIVE:
                raise SettingError(name=name, value=value, wanted="a number above 0", source="")
            raise SettingError(name=name, value=value, wanted="a number of at least 0", source="")
        if not (self.currency.isalpha() and self.currency.isascii() and len(self.currency) == 3):
            raise SettingError(name="currency", value=self.currency, wanted="three letters, like USD or CNY", source="")


OPTIONS = (
    option("--cloud", metavar="NAME", help="The cloud's model to compare the costs with; gpt-5-mini where not given."),
    option("--input-price", metavar="MONEY", help="What a cloud asks for a million tokens read."),
    option("--output-price", metavar="MONEY", help="And for a million tokens written."),
    option("--conversations", metavar="COUNT", help="Conversations a day; 100 where not given."),
    option("--turns", metavar="COUNT", help="Questions in a conversation; 4 where not given."),
    option("--question-tokens", metavar="TOKENS", help="Length of a question; 150 where not given."),
    option("--answer-tokens", metavar="TOKENS", help="Length of an answer; 250 where not given."),
    option("--hours", metavar="HOURS", help="Hours of work until it runs; 8 where not given."),
    option("--hourly-rate", metavar="MONEY", help="What an hour of work costs; 50 dollars where not given."),
    option("--hardware", metavar="MONEY", help="What is bought for it; nothing where not given."),
    option("--watts", metavar="WATTS", help="Power while it answers; penjing bench measures it where it can be."),
    option("--idle-watts", metavar="WATTS", help="Power of keeping it on besides; 0 if it is on anyway."),
    option("--tariff", metavar="MONEY", help="Price of a kilowatt-hour; 0.15 dollars where not given."),
    option("--currency", metavar="CODE", help="Of the money given here: USD, CNY, EUR ..."),
    option("--exchange", metavar="MONEY", help="What one US dollar is in that currency."),
)
FIELDS = tuple(field.name for field in dataclasses.fields(PlanSettings))


def cost_options(verb: Callable[..., Any]) -> Callable[..., Any]:
    """Give a verb the options of costs."""
    for add in reversed(OPTIONS):
        verb = add(verb)
    return verb


@dataclass(frozen=True)
class Figures:
    """The settings, which of them nobody gave, and the cloud's price in dollars or `own` currency."""

    settings: PlanSettings
    assumed: frozenset[str]
    price: Price
    listed: Listed | None

    def bill(self, answer: Answer) -> Bill | None:
        """The comparison for the quantization that was chosen, or the nearest; None where none fits."""
        from penjing.plan import bill
        from penjing.plan.cost import Cost, Running, Setup, Usage

        row, given = answer.chosen or answer.nearest, self.settings
        if row is None:
            return None
        usage = Usage(given.conversations, given.turns, given.question_tokens, given.answer_tokens)
        watts = bill.watts(answer.place) if given.watts is None else given.watts
        seconds = bill.seconds_of(row, usage.fresh_tokens, usage.written_tokens)
        cost = Cost(
            setup=Setup(given.hours, given.hourly_rate, given.hardware),
            usage=usage,
            running=Running(seconds, watts, given.idle_watts, given.tariff),
            price=self.price,
        )
        named = self.listed is not None
        return bill.Bill(
            cost=cost,
            cloud=given.cloud if named else "your cloud",
            currency=given.currency.upper(),
            read=self.listed.read if self.listed else "",
            source=self.listed.source if self.listed else "",
            assumed=tuple(name for name in TOLD if name in self.assumed),
        )


def figures(given: Mapping[str, Any]) -> Figures:
    """From the command line and the settings. Raises SettingError, UnknownCloud, HalfAPrice, ExchangeNeeded."""
    from penjing.plan.prices import Price

    loaded = load(PlanSettings, SECTION, {name: given.get(name) for name in FIELDS})
    settings = loaded.value
    assumed = frozenset(name for name, source in loaded.sources.items() if source == DEFAULT)
    if (settings.input_price is None) != (settings.output_price is None):
        names = ("--output-price", "--input-price")
        given_name, missing = names if settings.input_price is None else reversed(names)
        raise HalfAPrice(given=given_name, missing=missing)
    if settings.input_price is not None and settings.output_price is not None:
        price, found = Price(settings.input_price, settings.output_price), None
    else:
        found = listed(settings.cloud)
        price = found.price
    exchanged, price = exchange(settings, assumed, price, found is not None)
    return Figures(exchanged, assumed, price, found)


def listed(cloud: str) -> Listed:
    """The catalogue's price of a model. Raises UnknownCloud."""
    from penjing.plan import prices

    found = prices.listed(cloud)
    if found is None or found.price.output <= 0:
        known = [name for name, entry in prices.catalogue().items() if entry.price.output > 0]
        near = difflib.get_close_matches(cloud, known, n=3, cutoff=0.4) or known
        raise UnknownCloud(cloud=cloud, near=", ".join(near))
    return found


def exchange(
    settings: PlanSettings, assumed: frozenset[str], price: Price, from_catalogue: bool
) -> tuple[PlanSettings, Price]:
    """What is in dollars, in the person's currency. Raises ExchangeNeeded."""
    from penjing.plan.prices import Price

    if settings.currency.upper() == DOLLARS:
        return settings, price
    foreign = [name for name in IN_DOLLARS if name in assumed and getattr(settings, name)]
    if not foreign and not from_catalogue:
        return settings, price
    if settings.exchange is None:
        what = [*(["--cloud"] if from_catalogue else []), *("--" + name.replace("_", "-") for name in foreign)]
        raise ExchangeNeeded(currency=settings.currency.upper(), what=", ".join(what))
    rate = settings.exchange
    changed = dataclasses.replace(settings, **{name: getattr(settings, name) * rate for name in foreign})
    return changed, Price(price.input * rate, price.output * rate) if from_catalogue else price
