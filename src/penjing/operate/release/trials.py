"""The canaries of one server: each begins when the store says so, and ends when that says something else.

Whoever watches the store calls `follow` when something changed there (and once at the start); a new stable version
takes its place first, so that a promoted canary leaves when nobody needs it any more.

Does not know: how a change is noticed, how stable versions are exchanged, how a canary is judged (`trial`).
"""

from __future__ import annotations

import asyncio

from penjing.gateway.arms import Sample, Thumb
from penjing.operate.release.trial import Make as Make
from penjing.operate.release.trial import Place, Running
from penjing.store import channels


class Trials:
    """At `place`."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self._running: dict[str, Running] = {}
        self._turns: dict[str, asyncio.Lock] = {}
        place.house.arms.hear.append(self._hear)

    def _hear(self, heard: Sample | Thumb) -> None:
        running = self._running.get(heard.model)
        if running is not None:
            running.hear(heard)

    async def follow(self, name: str, model: str, make: Make) -> None:
        """Try beside the engine `name` what the store says is tried of `model`, and nothing else. Raises ModelCorrupt,
        NotInStore."""
        async with self._turns.setdefault(name, asyncio.Lock()):
            found = await asyncio.to_thread(channels.canary, self._place.store, model)
            running = self._running.get(name)
            if running is not None and found is not None and running.trial == found[1]:
                return
            await self._end(name)
            if found is None:
                return
            version, trial = found
            new = Running(self._place, name, version, trial, make)
            self._running[name] = new
            new.begin()

    async def close(self) -> None:
        """End them all; what they know is kept, and the next server goes on with it."""
        for name in list(self._running):
            await self._end(name)

    async def _end(self, name: str) -> None:
        running = self._running.pop(name, None)
        if running is not None:
            await running.end()
