"""Which engine answers: by rules, and when one fails before the first byte of its answer, the next one that may.

What must not leave is offered to engines of this house only; `House.open` refuses it once more. The header
`x-penjing-route` says who answers, which rule said so, and who was tried before.

Does not know: what is sent (`send` does), what answers cost (`cost`).
"""

from __future__ import annotations

from collections.abc import AsyncIterable, Iterator
from dataclasses import dataclass
from typing import Annotated

from msgspec import Meta

from penjing.errors import (
    ContextOverflow,
    EngineBusy,
    EngineError,
    EngineLoading,
    InputError,
    PenjingError,
    Unsupported,
)
from penjing.gateway.ask import Ask, Call, Outcome
from penjing.gateway.breaker import Breaker, Trip
from penjing.gateway.house import House, MustStay
from penjing.gateway.metrics import Counter, Gauge
from penjing.gateway.policies.policy import Step
from penjing.gateway.routing import begin
from penjing.gateway.routing.facts import Facts
from penjing.gateway.routing.rules import Rule, Rules, Some, listed
from penjing.gateway.routing.situation import Here
from penjing.messages import Event

HEADER = "x-penjing-route"
TAG = "tag:"
FAILURES = (EngineError, ContextOverflow, Unsupported)
"""What another engine may do better. Everything else is the request's own fault."""
GENTLE = (EngineLoading, ContextOverflow, Unsupported)
"""Of those, what says nothing about the engine's health."""


@dataclass(frozen=True)
class RouteOptions:
    """Which engine answers, on this hardware or elsewhere.

    `rules`: tables `[[route.rules]]`, the first that fits wins. `fallback`: engines tried after those of the rule, or
    after the one asked for, in both directions: what runs here may stand in for a cloud. `local_only`: nothing leaves.
    `stream_seconds` and `whole_seconds`: how long an engine may take to begin a stream, or to finish an answer that
    is not streamed, before the next one is tried (0: for ever). An engine that failed `failures` times in a row is
    left alone for `pause` seconds, then longer each time, up to `longest_pause`.
    """

    rules: tuple[Rule, ...] = ()
    fallback: Some = ()
    local_only: bool = False
    stream_seconds: Annotated[float, Meta(ge=0)] = 30.0
    whole_seconds: Annotated[float, Meta(ge=0)] = 300.0
    failures: Annotated[int, Meta(ge=1)] = 3
    pause: Annotated[float, Meta(ge=0)] = 5.0
    longest_pause: Annotated[float, Meta(ge=0)] = 120.0


class NoSuchEngine(InputError):
    """A rule names what is not served. Facts: `rule`, `name`, `known`."""

    template = "The routing rule '{rule}' names '{name}', and there is no such engine."
    hint = "Engines here: {known}"
    code = "unknown_engine"


class Circuits(Gauge):
    """Which engines are left alone now, told when somebody asks."""

    def __init__(self, breakers: dict[str, Breaker]) -> None:
        super().__init__("penjing_circuit_open", "1 while an engine that failed is left alone.", ("engine",))
        self._breakers = breakers

    def lines(self) -> Iterator[str]:
        for name, breaker in self._breakers.items():
            self.set(name, to=int(breaker.state == "open"))
        return super().lines()


class Route:
    """The policy. Raises NoSuchEngine for rules about engines that are not here."""

    takes = RouteOptions

    def __init__(self, options: RouteOptions, house: House) -> None:
        self._house = house
        self._here = Here(house)
        house.private = lambda ask: self._keeps(Facts(ask))
        self.reload(options)
        trip = Trip(options.failures, options.pause, options.longest_pause)
        self._breakers = {name: Breaker(trip) for name in house.engines}
        self._sent = Counter("penjing_route_total", "Requests by engine and rule.", ("engine", "rule"))
        self._failed = Counter("penjing_failovers_total", "Answers asked for elsewhere.", ("engine", "code"))
        house.observed.add(self._sent, self._failed, Circuits(self._breakers))

    def reload(self, options: RouteOptions) -> None:
        """Other rules from now on. What had to stay before still has to. Raises NoSuchEngine, and then nothing
        changes."""
        fallback = self._named("fallback", options.fallback)
        to = {rule: self._named(rule.name, rule.to) for rule in options.rules}
        for rule in options.rules:
            self._named(rule.name, rule.busy or ())
        self._options, self._fallback, self._to = options, fallback, to
        self._rules = Rules(rule for rule in options.rules if rule.to)
        self._private = Rules(rule for rule in options.rules if rule.local_only)
        self._house.local_only = self._house.local_only or options.local_only

    def _named(self, rule: str, some: Some) -> tuple[str, ...]:
        """Names of engines; a tag stands for all that have it."""
        names: list[str] = []
        tags = self._house.options.tags
        for word in listed(some):
            tag = word.removeprefix(TAG)
            found = [word] if tag == word else [name for name in self._house.engines if tag in tags.get(name, ())]
            if not found or any(name not in self._house.engines for name in found):
                raise NoSuchEngine(rule=rule, name=word, known=", ".join(self._house.engines))
            names += found
        return tuple(dict.fromkeys(names))

    async def __call__(self, ask: Ask, call_next: Call) -> AsyncIterable[Event]:
        facts = Facts(ask)
        if self._keeps(facts):
            ask.keep_local()
        if ask.target != ask.model:  # a policy before this one has chosen
            return await call_next(ask)
        rule = self._rules.first(facts, self._here)
        names = self._candidates(ask, facts, rule)
        return await self._first_that_answers(ask, names, rule, call_next)

    def _keeps(self, facts: Facts) -> bool:
        """Whether a rule says that the question must stay."""
        return self._private.first(facts, self._here) is not None

    def _candidates(self, ask: Ask, facts: Facts, rule: Rule | None) -> list[str]:
        """Who may answer, in the order in which they are tried. Raises MustStay, NoSuchModel."""
        named = self._to[rule] if rule is not None else (self._house.named(ask.model),)
        names = list(dict.fromkeys((*named, *self._fallback)))
        if ask.local_only or self._house.local_only:
            names = [name for name in names if self._house.engines[name].local]
            if not names:
                raise MustStay(model=named[0])
        if len(names) == 1:
            return names
        return [name for name in names if self._here.able(name, facts)] or names

    async def _first_that_answers(
        self, ask: Ask, names: list[str], rule: Rule | None, call_next: Call
    ) -> AsyncIterable[Event]:
        tried: list[str] = []
        back = ask.mark() if len(names) > 1 else None
        error: PenjingError | None = None
        for name in names:
            if len(names) > 1 and not self._breakers[name].allows():
                tried.append(f"{name}:circuit_open")
                continue
            try:
                return await self._ask(ask, name, rule, tried, call_next, last=name == names[-1])
            except PenjingError as failure:
                if not self._elsewhere(name, failure):
                    raise
                error = failure
            tried.append(f"{name}:{error.code}")
            self._failed.add(name, error.code)
            if back is not None and name != names[-1]:
                back()
        if error is not None:
            raise error
        return await self._ask(ask, names[0], rule, tried, call_next, last=True)

    async def _ask(
        self, ask: Ask, name: str, rule: Rule | None, tried: list[str], call_next: Call, *, last: bool
    ) -> AsyncIterable[Event]:
        ask.target = name
        why = rule.name if rule is not None else ""
        ask.note(HEADER, name + f"; rule={why}" * bool(why) + f"; tried={','.join(tried)}" * bool(tried))
        self._sent.add(name, why)
        seconds = self._options.stream_seconds if ask.stream else self._options.whole_seconds
        events = await begin.begun(ask, call_next, 0.0 if last else seconds)
        breaker = self._breakers[name]
        breaker.passed()

        def ended(outcome: Outcome) -> None:
            if outcome.code.startswith("engine_"):  # it broke in the middle, where nobody can stand in
                breaker.failed()

        ask.at_end(ended)
        return events

    def _elsewhere(self, name: str, error: PenjingError) -> bool:
        """Whether another engine may do better; the engine's failure is remembered."""
        if not isinstance(error, FAILURES) and name not in self._house.failed:
            return False
        full = isinstance(error, EngineBusy) and self._house.engines[name].local
        if not isinstance(error, GENTLE) and not full:
            self._breakers[name].failed()
        return True


def build(options: RouteOptions, house: House) -> Route | None:
    """The policy; None where there is nothing to choose by."""
    house.local_only = house.local_only or options.local_only
    return Route(options, house) if options.rules or options.fallback else None


STEP = Step("route", RouteOptions, build)
