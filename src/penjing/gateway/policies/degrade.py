"""An engine without memory does not end the service: the request is tried again with less.

    fewer tokens (max_tokens x 0.8, again and again, down to a floor)
    -> a smaller context (the engine is started again with half of it)
    -> the smaller model that is configured

Only what failed for want of memory is tried again: the engine says so, or the kernel killed it for that
(`engines/starved.py`); a request that ends its engine otherwise must not get to do it twice. A death is dear, so after
one the tokens are lowered once and then the next rung is taken. What helped is remembered for a while: later requests
begin there instead of failing first.

Does not know: why there is no memory.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterable
from dataclasses import dataclass, field
from typing import Annotated, Any

from msgspec import Meta

from penjing.engines.starved import says
from penjing.errors import EngineDied, EngineError, PenjingError
from penjing.gateway.ask import Ask, Call
from penjing.gateway.dialects.openai import wire
from penjing.gateway.dialects.openai.rewrite import DROP
from penjing.gateway.house import House
from penjing.gateway.metrics import Counter
from penjing.gateway.policies.policy import Step
from penjing.gateway.routing.begin import begun
from penjing.messages import Event

LESS = 0.8
HEADER = "x-penjing-degraded"
NOTICED = 2.0
"""Seconds within which a supervisor sees that its engine ended."""
GLANCE = 0.02
"""Seconds between two looks whether an engine is back."""
COMING = ("loading", "restarting")
FEWER, SMALLER, OTHER = "max_tokens", "context", "model"
"""The rungs."""


@dataclass(frozen=True)
class DegradeOptions:
    """What is done when an engine runs out of memory.

    `floor`: `max_tokens` is not lowered below this. `least_context`: nor the context, in tokens. `smaller`: model to
    the one that answers in its place. `remember`: seconds that later requests begin where one succeeded. `patience`:
    seconds a request waits for its engine to be back. `enabled = false` hands every failure to the client.
    """

    enabled: bool = True
    floor: Annotated[int, Meta(ge=1)] = 64
    least_context: Annotated[int, Meta(ge=256)] = 512
    smaller: dict[str, str] = field(default_factory=dict)
    remember: Annotated[float, Meta(ge=0)] = 300.0
    patience: Annotated[float, Meta(ge=0)] = 60.0


class OutOfMemory(EngineError):
    """Nothing less could be tried. Facts: `model`, `detail`."""

    template = "{model} ran out of memory, and asking for less did not help: {detail}"
    hint = "Ask for fewer max_tokens, or serve with a smaller --max-context or --bits 4."
    code = "out_of_memory"
    status = 503


@dataclass
class Strain:
    """What is remembered of an engine: until when, the most tokens that worked, whether another model stands in."""

    until: float = 0.0
    most: int | None = None
    replaced: bool = False


class Degrade:
    """The policy."""

    def __init__(self, options: DegradeOptions, house: House) -> None:
        self.options = options
        self.house = house
        self._strains: dict[str, Strain] = {}
        self.degraded = Counter("penjing_degraded_total", "Requests answered with less, for memory.", ("model", "how"))
        house.observed.add(self.degraded)

    async def __call__(self, ask: Ask, call_next: Call) -> AsyncIterable[Event]:
        if isinstance(ask.wire, wire.Weighing):
            return await call_next(ask)
        attempt = _Attempt(self, ask)
        attempt.begin()
        while True:
            await attempt.prepare()
            try:
                return await begun(ask, call_next)
            except PenjingError as error:  # a request that fails is no loop that must be fast
                if not await attempt.lack(error):
                    raise
                if not attempt.less():
                    raise OutOfMemory(model=attempt.name, detail=error.message("en")) from error

    def strain(self, name: str) -> Strain:
        """What is remembered of the engine `name` now."""
        found = self._strains.get(name)
        if found is None or found.until < time.monotonic():
            found = self._strains[name] = Strain()
        return found

    def remember(self, name: str, **what: Any) -> None:
        """Later requests begin here."""
        strain = self.strain(name)
        strain.until = time.monotonic() + self.options.remember
        for field_name, value in what.items():
            setattr(strain, field_name, value)


class _Attempt:
    """One request, going down the rungs."""

    def __init__(self, policy: Degrade, ask: Ask) -> None:
        self._policy = policy
        self._options = policy.options
        self._house = policy.house
        self._ask = ask
        self._died = False
        self._fewer = False
        self._context = 0
        self._restarts = self._before = 0
        self._how: dict[str, str] = {}

    @property
    def name(self) -> str:
        return self._ask.target or next(iter(self._house.engines), "")

    @property
    def _engine(self) -> Any:
        """The engine, or nothing where there is none of that name: whoever asks it will say so."""
        return self._house.engines.get(self.name)

    def begin(self) -> None:
        """Where an earlier request got to."""
        strain = self._policy.strain(self.name)
        if strain.replaced:
            self._replace()
        elif strain.most is not None:
            limit = _limit(self._ask)
            if limit is None or limit > strain.most:
                self._cap(strain.most)

    async def prepare(self) -> None:
        """Look at the engine before it is asked, and tell the client what it is asked for."""
        engine = self._engine
        if self._how:
            await self._until(lambda: getattr(engine, "state", "") not in COMING, self._options.patience)
        self._restarts = getattr(engine, "restarts", 0)
        self._before = self._room()
        if self._how:
            told = "; ".join(f"{rung}={value}" for rung, value in self._how.items())
            self._ask.note(HEADER, f"{told}; answered-by={self.name}; why=memory")

    async def lack(self, error: PenjingError) -> bool:
        """Whether `error` is a want of memory. Waits until the engine is back."""
        engine = self._engine
        if isinstance(error, EngineDied) and hasattr(engine, "starved"):
            await self._until(lambda: engine.restarts > self._restarts or engine.state == "failed", NOTICED)
            self._died = True
            if not engine.starved:
                return False
            await self._until(lambda: engine.state in ("ready", "failed"), self._options.patience)
            return True
        self._died = False
        return isinstance(error, EngineError) and says(error.message("en"))

    async def _until(self, seen: Any, seconds: float) -> None:
        until = time.monotonic() + seconds
        while not seen() and time.monotonic() < until:  # noqa: ASYNC110  # engines tell states, not changes
            await asyncio.sleep(GLANCE)

    def less(self) -> bool:
        """Take the next rung; False where there is none."""
        if getattr(self._engine, "state", "") == "failed":  # it does not come back for any of them
            return self._replace()
        return self._fewer_tokens() or self._smaller_context() or self._replace()

    def _fewer_tokens(self) -> bool:
        limit = _limit(self._ask) or self._room()
        lower = max(int(limit * LESS), self._options.floor)
        if lower >= limit or (self._died and self._fewer):
            return False
        self._fewer = True
        self._cap(lower)
        self._policy.remember(self.name, most=lower)
        return True

    def _room(self) -> int:
        """The most tokens an answer without a limit could have."""
        try:
            return int(self._engine.capabilities.context)
        except PenjingError:  # it is not back yet
            return 0

    def _cap(self, tokens: int) -> None:
        others = {"max_completion_tokens": DROP, "n_predict": DROP}
        self._ask.change(max_tokens=tokens, **others)
        self._tell(FEWER, str(tokens))

    def _smaller_context(self) -> bool:
        engine, context = self._engine, self._room()
        half = max(context // 2, self._options.least_context)
        if self._context or not context:
            return False
        if context < self._before:  # another request has seen to it
            half = context
        elif half >= context or not hasattr(engine, "resize") or not engine.resize(half):
            return False
        self._context = half
        self._tell(SMALLER, str(half))
        return True

    def _replace(self) -> bool:
        smaller = self._options.smaller.get(self.name)
        there = self._house.engines.get(smaller) if smaller is not None else None
        if smaller is None or there is None or OTHER in self._how or (self._ask.local_only and not there.local):
            return False
        self._policy.remember(self.name, replaced=True)
        self._tell(OTHER, smaller)
        self._ask.target = smaller
        self._died = self._fewer = False
        return True

    def _tell(self, rung: str, value: str) -> None:
        if rung not in self._how:
            self._policy.degraded.add(self.name, rung)
        self._how[rung] = value


def _limit(ask: Ask) -> int | None:
    """The most tokens that the client wants."""
    body = ask.wire
    limits = (getattr(body, name, None) for name in ("max_completion_tokens", "max_tokens", "n_predict"))
    return next((limit for limit in limits if limit is not None and limit > 0), None)


def build(options: DegradeOptions, house: House) -> Degrade | None:
    """The policy, unless it is switched off. Raises SettingError for a smaller model that is not served."""
    return Degrade(options, house) if options.enabled else None


STEP = Step("degrade", DegradeOptions, build)
