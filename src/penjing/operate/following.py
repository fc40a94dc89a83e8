"""A running server follows the store: when what a model's name means changes there its engine is upgraded, and a canary
begins or ends.

Looking costs two `stat`s a model, twice a second. Whoever changed it (`penjing release`, `penjing store tag`, a hub)
need not know who serves it.

Does not know: how an upgrade is done (`upgrade`), how a canary is judged (`release`), what a person is told.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from penjing.engines.engine import Engine
from penjing.engines.llamacpp import LlamaCpp
from penjing.errors import PenjingError
from penjing.gateway.house import House
from penjing.operate.release.trials import Make, Trials
from penjing.operate.supervise import Supervised
from penjing.operate.upgrade import NotUpgraded, Upgrade, Upgraded
from penjing.store import channels, names
from penjing.store.names import LATEST, STABLE
from penjing.store.version import Version
from penjing.store.versions import Store

log = logging.getLogger(__name__)

LOOK = 0.5
"""Seconds between two looks at the store."""


@dataclass(frozen=True)
class Followed:
    """The engine `name` serves what `wanted` (`NAME` or `NAME:TAG`) means in the store, now version `number`. `make`
    makes an engine, not started, for another version."""

    name: str
    wanted: str
    number: int
    make: Make


Hear = Callable[["Upgraded | NotUpgraded"], None]


def follows(typed: str) -> bool:
    """Whether what `typed` means may change: `NAME@VERSION` is one version for ever."""
    return not names.parse(typed).version


class Following:
    """Keeps the engines of `house` at what `store` says. `hear` is told of every upgrade and of those that failed."""

    def __init__(
        self, house: House, store: Store, followed: Sequence[Followed], upgrade: Upgrade, trials: Trials, hear: Hear
    ) -> None:
        self._house = house
        self._store = store
        self._followed = list(followed)
        self._upgrade = upgrade
        self._trials = trials
        self._hear = hear
        self.numbers = {each.name: each.number for each in followed}
        """The version that each engine serves."""

    async def run(self) -> None:
        """Until it is cancelled. What goes wrong with one model is told and leaves the others alone."""
        try:
            await asyncio.gather(*(self._one(each) for each in self._followed))
        finally:
            await self._trials.close()

    async def _one(self, followed: Followed) -> None:
        model = names.parse(followed.wanted).name
        seen: tuple[object, ...] = ()
        while True:
            now = await asyncio.to_thread(channels.stamp, self._store, model)
            if now != seen:
                seen = now
                await self._told(followed, self._changed)
                if tried(followed.wanted):
                    await self._told(followed, self._try)
            await asyncio.sleep(LOOK)

    async def _told(self, followed: Followed, work: Callable[[Followed], Awaitable[None]]) -> None:
        try:
            await work(followed)
        except NotUpgraded as error:
            self._hear(error)
        except (PenjingError, OSError) as error:
            log.error("%s does not follow the store: %s", followed.name, error)

    async def _changed(self, followed: Followed) -> None:
        version = await asyncio.to_thread(self._store.find, followed.wanted)
        before = self.numbers[followed.name]
        if version.number == before:
            return
        new = await asyncio.to_thread(followed.make, version, followed.name)
        done = await self._upgrade(followed.name, bare(new), str(version))
        self.numbers[followed.name] = version.number
        if self._house.record is not None:
            self._house.record(lambda: _entry(followed, before, version, done))
        self._hear(done)

    async def _try(self, followed: Followed) -> None:
        await self._trials.follow(followed.name, names.parse(followed.wanted).name, followed.make)


def tried(wanted: str) -> bool:
    """Whether canaries of a model are tried on those who asked for `wanted`: it is what everybody gets."""
    return names.parse(wanted).tag in ("", STABLE, LATEST)


def bare(engine: Engine) -> LlamaCpp:
    """The engine itself, without whoever keeps it."""
    inner = engine.engine if isinstance(engine, Supervised) else engine
    assert isinstance(inner, LlamaCpp)
    return inner


def _entry(followed: Followed, before: int, version: Version, done: Upgraded) -> dict[str, object]:
    from penjing.gateway.audit.log import now

    return {
        "at": now(),
        "what": "upgrade",
        "model": followed.name,
        "version": str(version),
        "before": f"{version.name}@{before}",
        "beside": done.beside,
        "warmed": done.warmed,
        "seconds": round(done.seconds, 3),
        "held": round(done.held, 3),
    }
