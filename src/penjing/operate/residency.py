"""Several models, one budget of memory: a model is loaded when somebody asks it, and who was asked longest ago leaves.

    asked, in memory          answered
    asked, there is room      loaded, answered
    asked, there is none      the least recently used one finishes its answers and leaves; loaded, answered

An answer under way is never broken off; who asks a model that leaves waits until it is back. Pinned ones stay.

Does not know: how an engine is loaded (`supervise`), requests.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial

from penjing import amounts
from penjing.engines.engine import Address
from penjing.engines.llamacpp import LlamaCpp
from penjing.errors import InputError, ModelTooBig
from penjing.files import human
from penjing.gateway.house import House
from penjing.gateway.metrics import Counter, Gauge, Histogram
from penjing.operate.supervise import Supervised

SPARE = 0.1
"""Share of the free memory that is left to everybody else where no budget was given."""
SOON = 0.02
"""Seconds between two looks whether an engine is done."""
BOUNDS = (0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0)
NONE = ("none",)
IN_MEMORY = ("loading", "ready", "restarting")


class NotServed(InputError):
    """A name in --preload or --pin that is no model of this machine. Facts: `name`, `known`."""

    template = "'{name}' is no model that this server runs itself."
    hint = "Models here: {known}"
    code = "not_served"


class PinnedTooBig(InputError):
    """Facts: `names`, `needed`, `budget` (human sizes)."""

    template = (
        "The pinned models {names} need {needed} together, more than the {budget} of memory there are for models."
    )
    hint = "Pin fewer, give a larger --memory, or make them smaller: --max-context, --parallel, --kv-type q8_0."
    code = "pinned_too_big"


class OverBudget(ModelTooBig):
    """Facts: `path`, `needed`, `free` (what the budget leaves), `fits`."""

    template = "{path} needs about {needed} of memory, the budget leaves {free}."


@dataclass(frozen=True)
class ResidencyOptions:
    """Section `[memory]`. `budget` (`8GB`) for all models together; what is free at the start less a tenth where not
    said. `preload`: which are loaded at the start (`none` for none); those that fit, in their order, where not said.
    `pin`: which never leave. `idle_unload`: how long (`10m`) nobody asks before one that is not pinned leaves; for ever
    where not said."""

    budget: str = ""
    preload: tuple[str, ...] = ()
    pin: tuple[str, ...] = ()
    idle_unload: str = ""

    @property
    def bytes(self) -> int:
        """Of the budget, 0 where none is said. Raises NoAmount."""
        return amounts.size(self.budget) if self.budget else 0

    @property
    def seconds(self) -> float:
        """Without a question, 0 for ever. Raises NoAmount."""
        return amounts.span(self.idle_unload) if self.idle_unload else 0.0


class Residency:
    """Decides for the engines of `house` that are models of this machine. `free` bytes are free now."""

    def __init__(self, house: House, options: ResidencyOptions, free: int) -> None:
        self.budget = options.bytes or int(free * (1 - SPARE))
        self._seconds = options.seconds
        self._preload = () if options.preload == NONE else options.preload or None
        self._house = house
        self._options = options
        self._turn = asyncio.Lock()
        self._loads = Histogram("penjing_model_load_seconds", "To load a model that was asked.", ("model",), BOUNDS)
        self._left = Counter("penjing_model_evictions_total", "Models that left for another one.", ("model",))
        self._need = Gauge("penjing_model_memory_needed_bytes", "What a model takes when it is loaded.", ("model",))
        house.observed.add(self._loads, self._left, self._need)
        ours = {name: engine for name, engine in house.engines.items() if _is_ours(engine)}
        for name in (*(self._preload or ()), *options.pin):
            if name not in ours:
                raise NotServed(name=name, known=", ".join(ours))
        house.rests.pinned.update(options.pin)
        for engine in ours.values():
            self.govern(engine)

    def govern(self, engine: object) -> None:
        """Decide for `engine` as well."""
        assert isinstance(engine, Supervised)
        assert isinstance(engine.engine, LlamaCpp)
        engine.room = self
        engine.engine.budget = self.budget

    # for engines (`supervise.Room`)

    async def first(self, engine: Supervised) -> bool:
        """Whether it is loaded when the server starts. Raises OverBudget, PinnedTooBig."""
        name, options = engine.name, self._options
        self._need.set(name, to=need(engine))
        if self._seconds:
            self._house.rests.used(name, self._seconds)
        if need(engine) > self.budget:
            raise self._too_big(engine, self.budget)
        if name in options.pin:
            self._require_pinned()
            return True
        if self._preload is not None:
            return name in self._preload
        earlier = self._up_to(engine)
        while any(each.state == "loading" and not need(each) for each in earlier):  # noqa: ASYNC110  # soon over
            await asyncio.sleep(SOON)
        return sum(map(need, earlier)) <= self.budget

    async def make(self, engine: Supervised) -> None:
        """Return when there is room for `engine`: others leave, the one that was asked longest ago first. Raises
        OverBudget."""
        async with self._turn:
            if not need(engine) and isinstance(engine.engine, LlamaCpp):  # another version took its place at rest
                await engine.engine.expected()
            pinned = sum(need(each) for each in self._in_memory(engine) if each.name in self._options.pin)
            if pinned + need(engine) > self.budget:
                raise self._too_big(engine, self.budget - pinned)
            while sum(need(each) for each in self._in_memory(engine)) + need(engine) > self.budget:
                leaving = self._longest_ago(engine)
                if leaving is None:  # those in the way are being loaded themselves
                    await asyncio.sleep(SOON)
                    continue
                address = leaving.address
                self._left.add(leaving.name)
                await leaving.rest(partial(self._idle, address))

    def loaded(self, engine: Supervised, seconds: float) -> None:
        """It took so long."""
        self._loads.observe((engine.name,), seconds)

    # what is where

    def _up_to(self, engine: Supervised) -> list[Supervised]:
        """Those that were named before it, and itself."""
        ours = self._ours()
        return ours[: ours.index(engine) + 1]

    def _known(self) -> list[Supervised]:
        """Engines whose need is known."""
        return [each for each in self._ours() if need(each)]

    def _ours(self) -> list[Supervised]:
        return [each for each in self._house.engines.values() if isinstance(each, Supervised) and each.room is self]

    def _in_memory(self, besides: Supervised) -> list[Supervised]:
        return [each for each in self._ours() if each is not besides and each.state in IN_MEMORY]

    def _longest_ago(self, besides: Supervised) -> Supervised | None:
        there = [
            each for each in self._in_memory(besides) if each.state == "ready" and each.name not in self._options.pin
        ]
        return min(there, key=lambda each: self._house.asked.get(each.name, 0.0), default=None)

    async def _idle(self, address: Address) -> None:
        while self._house.at_work(address):  # noqa: ASYNC110  # links tell nobody else
            await asyncio.sleep(SOON)

    def _require_pinned(self) -> None:
        pinned = [each for each in self._known() if each.name in self._options.pin]
        needed = sum(map(need, pinned))
        if needed > self.budget:
            names = ", ".join(each.name for each in pinned)
            raise PinnedTooBig(names=names, needed=human(needed), budget=human(self.budget))

    def _too_big(self, engine: Supervised, left: int) -> OverBudget:
        inner = engine.engine
        assert isinstance(inner, LlamaCpp)
        fits = sorted(each.name for each in self._known() if need(each) <= left)
        return OverBudget(
            path=str(inner.model), needed=human(need(engine)), free=human(max(left, 0)), fits=", ".join(fits) or "-"
        )


def need(engine: Supervised) -> int:
    """Bytes of memory it takes when it is loaded; 0 while that is not known."""
    inner = engine.engine
    return inner.derived.need.total if isinstance(inner, LlamaCpp) and inner.derived is not None else 0


def _is_ours(engine: object) -> bool:
    return isinstance(engine, Supervised) and isinstance(engine.engine, LlamaCpp)


def wanted(options: ResidencyOptions, engines: Iterable[object]) -> bool:
    """Whether anybody has to decide: there are several models, or somebody asked for it."""
    return options != ResidencyOptions() or sum(map(_is_ours, engines)) > 1
