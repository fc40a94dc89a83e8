"""Another version in an engine's place, while it is being asked.

    both fit into memory     the new worker starts beside the old, is warmed, takes what is asked from now on;
                             the old one finishes its answers and leaves
    they do not              questions wait, the old one finishes its answers and leaves, the new one starts

Whatever happens to the new worker before it takes over, the old one stays.

Does not know: why a version changes (`following`), stores, what a person is told.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Literal

from msgspec import Meta

from penjing.engines.engine import Address
from penjing.engines.llamacpp import EngineOptions, LlamaCpp, room
from penjing.errors import EngineError, ModelTooBig, PenjingError
from penjing.gateway.house import House
from penjing.gateway.metrics import Counter, Histogram
from penjing.gateway.upstream import Pool
from penjing.operate.supervise import Supervised
from penjing.operate.warm import questions
from penjing.plan import memory
from penjing.probe import machine, model

SOON = 0.02
"""Seconds between two looks whether the old engine is done."""
BOUNDS = (0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0)


class NotUpgraded(EngineError):
    """The new version did not get as far as answering. Facts: `model`, `version`, `detail`."""

    template = "{version} could not take the place of {model}, which goes on as it was: {detail}"
    hint = "Try it alone: penjing chat {version}"
    code = "not_upgraded"
    status = 503


@dataclass(frozen=True)
class UpgradeOptions:
    """Section `[upgrade]`. `beside`: whether both versions are in memory for a while: where they fit, always (at the
    price of swapping), never. `pinned`: system prompts that a new version reads first. `warm`: so many of the latest
    conversations as well. `warm_seconds`: how long that may take. `finish_seconds`: how long the old version may take
    to finish its answers before they are cut; 0 for ever."""

    beside: Literal["auto", "always", "never"] = "auto"
    pinned: tuple[str, ...] = ()
    warm: Annotated[int, Meta(ge=0)] = 8
    warm_seconds: Annotated[float, Meta(gt=0)] = 60.0
    finish_seconds: Annotated[float, Meta(ge=0)] = 0.0


@dataclass(frozen=True)
class Upgraded:
    """What it took. `beside`: nobody had to wait; else `held` is for how many seconds questions waited. `warmed`
    questions were asked before; `seconds` until the new version answered, `left` until the old one was gone."""

    model: str
    version: str
    beside: bool
    warmed: int
    seconds: float
    left: float
    held: float = 0.0


class Upgrade:
    """Upgrades engines of `house`, one at a time each."""

    def __init__(self, house: House, options: UpgradeOptions | None = None) -> None:
        self._house = house
        self._options = options or UpgradeOptions()
        self._turns: dict[str, asyncio.Lock] = {}
        self._count = Counter(
            "penjing_upgrades_total", "Versions that were to take over, by result.", ("model", "result")
        )
        self._seconds = Histogram("penjing_upgrade_seconds", "Until the new version answered.", ("model",), BOUNDS)
        house.observed.add(self._count, self._seconds)

    async def __call__(self, name: str, new: LlamaCpp, version: str, warm: bool = True) -> Upgraded:
        """Let `new` (not started, its file there) take the place of the engine `name`. Raises NotUpgraded, after which
        the old one answers as before."""
        async with self._turns.setdefault(name, asyncio.Lock()):
            kept = self._house.engines[name]
            assert isinstance(kept, Supervised)
            began = time.monotonic()
            try:
                done = await self._turned(name, kept, new, version, began)
            except (PenjingError, OSError) as error:
                await new.stop()
                self._count.add(name, "failed")
                raise NotUpgraded(model=name, version=version, detail=str(error)) from error
            self._count.add(name, "beside" if done.beside else "after")
            self._seconds.observe((name,), done.seconds)
            return done

    async def _turned(self, name: str, kept: Supervised, new: LlamaCpp, version: str, began: float) -> Upgraded:
        asked, old = new.options, kept.engine
        new.options = as_large(new, old)
        if kept.state == "resting":
            await kept.take(new)
            return Upgraded(name, version, True, 0, 0.0, 0.0)
        address = kept.address
        if await self._fits(new):
            warmed = await self._started(name, new)
            new.options = asked  # for its next start, when it is alone
            await kept.take(new)
            ready = time.monotonic()
            await self._finished(address)
            await old.stop()
            return Upgraded(name, version, True, warmed, ready - began, time.monotonic() - ready)
        held = time.monotonic()
        await kept.exchange(new, lambda: self._finished(address))
        new.options = asked
        ready = time.monotonic()
        return Upgraded(name, version, False, 0, ready - began, 0.0, ready - held)

    async def _fits(self, new: LlamaCpp) -> bool:
        if self._options.beside != "auto":
            return self._options.beside == "always"
        return await fits(new)

    async def _started(self, name: str, new: LlamaCpp) -> int:
        """Start and warm `new`; how many questions it was asked. Raises what that raises; a worker that ends meanwhile
        is an error of the question it had."""
        await new.start()
        address = new.address
        pool = Pool(name, address, 1, 1)
        asked = questions(self._house.recent.of(name), self._options.pinned, self._options.warm)
        until = time.monotonic() + self._options.warm_seconds
        done = 0
        try:
            for path, body in asked:
                if done and time.monotonic() > until:
                    break
                answer = await pool.ask("POST", path, body)
                await answer.read()
                done += 1
        finally:
            pool.close()
        return done

    async def _finished(self, address: Address) -> None:
        """Return when nothing is under way at `address` any more."""
        limit = self._options.finish_seconds
        until = time.monotonic() + limit if limit else float("inf")
        while self._house.at_work(address) and time.monotonic() < until:  # noqa: ASYNC110  # links tell nobody else
            await asyncio.sleep(SOON)


async def fits(new: LlamaCpp) -> bool:
    """Whether `new` fits into the memory that is free now, beside everything that runs. Raises ModelError."""
    try:
        await new.foresee()
    except ModelTooBig:
        return False
    return True


@dataclass(frozen=True)
class Foretold:
    """What an upgrade to a version will be like on this machine as it is now. Bytes: `needed` by the version as it
    would be served here usually, `free` for it. `beside`: nobody will have to wait."""

    needed: int
    free: int

    @property
    def beside(self) -> bool:
        return self.needed <= self.free


def foretell(path: Path) -> Foretold:
    """Of the model at `path`, before anything is done. Raises ModelError."""
    here = machine.read(gpus=False)
    usual = room.fit(model.read(path), here.memory_total, EngineOptions(), memory.Terms())
    return Foretold(usual.need.total, int(here.memory_available * (1 - room.SPARE)))


def as_large(new: LlamaCpp, old: object) -> EngineOptions:
    """The options of `new` with the context and the slots that `old` has, where nobody asked for others: beside the old
    one less memory is free, and that must not make the new one smaller."""
    if not isinstance(old, LlamaCpp) or old.derived is None:
        return new.options
    had = old.derived.settings
    return replace(
        new.options,
        max_context=new.options.max_context or had.context,
        parallel=new.options.parallel or had.slots,
    )
