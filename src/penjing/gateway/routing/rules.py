"""Rules as data: when all that a rule asks is so, its engines are tried, in their order. The first rule that fits wins.

    [[route.rules]]
    name = "long documents"
    tokens_over = 6000
    to = ["cloud", "small"]

Does not know: engines (`Situation` tells of them), what happens when one fails.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from datetime import datetime
from fnmatch import translate
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

    `to` names engines, or those with a tag (`tag:fast`). With `local_only` what fits must not leave; that holds for
    every such rule that fits, also where another one wins. One without `to` does nothing else.

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
        """Whether all of it is so."""
        return all(condition(facts, situation) for condition in asked(self))

    def timely(self, now: datetime) -> bool:
        """Whether `now` is within its hours and days."""
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


Test = Callable[[Facts, Situation], bool]


TESTS: dict[str, Callable[[Rule], Test]] = {
    "model": lambda rule: _fitting(rule.model, lambda facts: facts.model),
    "kind": lambda rule: lambda facts, _: facts.kind in rule.kind,
    "private": lambda rule: lambda facts, _: facts.local_only == rule.private,
    "key": lambda rule: _fitting(rule.key, lambda facts: facts.grant.name),
    "task": lambda rule: _fitting(rule.task, lambda facts: facts.task),
    "tools": lambda rule: lambda facts, _: facts.tools == rule.tools,
    "vision": lambda rule: lambda facts, _: facts.vision == rule.vision,
    "tokens_over": lambda rule: lambda facts, _: facts.tokens > (rule.tokens_over or 0),
    "tokens_under": lambda rule: lambda facts, _: facts.tokens < (rule.tokens_under or 0),
    "busy": lambda rule: lambda _, here: here.load(rule.busy) >= rule.load,
    "budget_under": lambda rule: lambda facts, here: here.left(facts.grant) < (rule.budget_under or 0),
    "hours": lambda rule: lambda _, here: rule.timely(here.now()),
    "days": lambda rule: lambda _, here: rule.timely(here.now()),
}
"""What each condition asks, those first that are cheap to know."""


def asked(rule: Rule) -> tuple[Test, ...]:
    """What a rule asks, and nothing for what it does not."""
    return tuple(made(rule) for name, made in TESTS.items() if name in rule.conditions)


def _fitting(patterns: Some, word: Callable[[Facts], str]) -> Test:
    fits = _one(patterns)
    return lambda facts, _: fits(word(facts))


def _one(patterns: Some) -> Callable[[str], bool]:
    """Whether a word fits one of `patterns`."""
    words = frozenset(listed(patterns))
    shapes = re.compile("|".join(map(translate, words)))
    return lambda word: word in words or shapes.match(word) is not None


class Rules:
    """Rules made ready to be asked for every request."""

    def __init__(self, rules: Iterable[Rule]) -> None:
        self._tests = tuple((rule, asked(rule)) for rule in rules)

    def first(self, facts: Facts, situation: Situation) -> Rule | None:
        """The first one that fits."""
        for rule, conditions in self._tests:
            for condition in conditions:
                if not condition(facts, situation):
                    break
            else:
                return rule
        return None
