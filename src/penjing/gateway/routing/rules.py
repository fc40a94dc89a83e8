"""Rules as data: when all that a rule asks is so, its engines are tried, in their order. The first rule that fits wins.

    [[route.rules]]
    name = "long documents"
    tokens_over = 6000
    to = ["cloud", "small"]

Does not know: engines (`Situation` tells of them), what happens when one fails.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import datetime
from fnmatch import fnmatchcase
from typing import Literal, Protocol

from msgspec import Struct
from msgspec.structs import fields

from penjing.gateway.grant import Grant
from penjing.gateway.routing.facts import Facts

Day = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
DAYS: tuple[Day, ...] = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
HOURS = re.compile(r"([01]\d|2[0-3]):([0-5]\d)-([01]\d|2[0-4]):([0-5]\d)")
Some = str | tuple[str, ...]
"""One of them may be written without a list."""
ACTIONS = ("name", "to", "local_only")


class Situation(Protocol):
    """What rules ask about the rest of the world."""

    def load(self, engine: str) -> float:
        """Requests at work or waiting, as a share of what `engine` works on at once; infinite when it is down."""

    def left(self, grant: Grant) -> float:
        """What a key may still spend this month, US dollars; infinite without a budget."""

    def now(self) -> datetime:
        """The local time."""


class Rule(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Everything that is given must be so; a rule that asks nothing always fits.

    `to` names engines, or those with a tag (`tag:fast`); without it the model asked for is meant. With `local_only`
    what fits must not leave; that holds for every such rule that fits, also where another one wins.

    `model`, `task` and `key` are patterns (`gpt-*`), one of which must fit; `kind` is chat, completion or embedding.
    `private`: whether the request must stay already, by its key or header. `busy` is an engine at whose load (requests
    per slot) of at least `load` the rule fits. `budget_under`: the key has less than so many US dollars left this
    month. `hours` as `22:00-06:00`, local time.
    """

    name: str = ""
    model: Some = ()
    kind: tuple[Literal["chat", "completion", "embedding"], ...] = ()
    task: Some = ()
    key: Some = ()
    tokens_over: int | None = None
    tokens_under: int | None = None
    tools: bool | None = None
    vision: bool | None = None
    private: bool | None = None
    busy: str = ""
    load: float = 1.0
    budget_under: float | None = None
    hours: str = ""
    days: tuple[Day, ...] = ()
    to: Some = ()
    local_only: bool = False

    def __post_init__(self) -> None:
        if self.hours and not HOURS.fullmatch(self.hours):
            raise ValueError("`hours` are written 08:00-18:00")
        if not self.to and not self.local_only:
            raise ValueError("a rule needs `to` or `local_only`")

    def fits(self, facts: Facts, situation: Situation) -> bool:
        """Whether all of it is so; what is cheap is asked first."""
        return (
            _one(self.model, facts.model)
            and (not self.kind or facts.kind in self.kind)
            and (self.private is None or self.private == facts.local_only)
            and _one(self.key, facts.grant.name)
            and (not self.task or _one(self.task, facts.task))
            and (self.tools is None or self.tools == facts.tools)
            and (self.vision is None or self.vision == facts.vision)
            and (self.tokens_over is None or facts.tokens > self.tokens_over)
            and (self.tokens_under is None or facts.tokens < self.tokens_under)
            and (not self.busy or situation.load(self.busy) >= self.load)
            and (self.budget_under is None or situation.left(facts.grant) < self.budget_under)
            and (not (self.hours or self.days) or self._now(situation.now()))
        )

    def _now(self, now: datetime) -> bool:
        if self.days and DAYS[now.weekday()] not in self.days:
            return False
        if not self.hours:
            return True
        begin, _, end = self.hours.partition("-")
        time = f"{now.hour:02}:{now.minute:02}"
        return begin <= time < end if begin <= end else time >= begin or time < end

    @property
    def conditions(self) -> dict[str, object]:
        """What was given of what it asks."""
        given = {
            field.name: getattr(self, field.name)
            for field in fields(self)
            if field.name not in ACTIONS and getattr(self, field.name) != field.default
        }
        if self.busy:
            given["load"] = self.load
        return given


def listed(some: Some) -> tuple[str, ...]:
    """Always a tuple."""
    return (some,) if isinstance(some, str) else some


def _one(patterns: Some, word: str) -> bool:
    return patterns == () or any(word == pattern or fnmatchcase(word, pattern) for pattern in listed(patterns))


def first(rules: Iterable[Rule], facts: Facts, situation: Situation) -> Rule | None:
    """The first rule that fits."""
    return next((rule for rule in rules if rule.fits(facts, situation)), None)
