"""Engines that are put to rest when nobody asked them for a while, and wake up when somebody does (`keep_alive`).

Does not know: who wished it.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Mapping
from typing import Any

from penjing.engines.engine import Engine

SOON = 0.05
"""Seconds between two looks at an engine that still works when it should rest."""


COMING = ("loading", "restarting")
"""States of an engine that is about to be ready."""


class Rests:
    """`busy` tells whether an engine is at work."""

    def __init__(self, engines: Mapping[str, Engine], busy: Callable[[str], bool]) -> None:
        self._engines = engines
        self._busy = busy
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._spans: dict[str, float] = {}
        self._tasks: set[asyncio.Task[Any]] = set()
        self.pinned: set[str] = set()
        """Engines that never rest."""

    def used(self, name: str, seconds: float | None) -> None:
        """The engine has just been asked. `seconds`: how long it shall stay when nobody asks, infinity for ever, 0 to
        rest now, this once; None: as was last said, which at first is for ever."""
        timer = self._timers.pop(name, None)
        if timer is not None:
            timer.cancel()
        if seconds is not None:
            self._spans[name] = seconds or math.inf
        self._arm(name, self._spans.get(name, math.inf) if seconds is None else seconds)

    def _arm(self, name: str, seconds: float) -> None:
        if math.isfinite(seconds) and name not in self.pinned and hasattr(self._engines.get(name), "rest"):
            self._timers[name] = asyncio.get_running_loop().call_later(seconds, self._due, name)

    def told(self, name: str) -> bool:
        """Whether somebody said how long the engine shall stay."""
        return name in self._spans

    def until(self, name: str) -> float | None:
        """Seconds until it rests; None where it does not."""
        timer = self._timers.get(name)
        return None if timer is None else max(timer.when() - asyncio.get_running_loop().time(), 0.0)

    def _due(self, name: str) -> None:
        self._timers.pop(name, None)
        task = asyncio.get_running_loop().create_task(self._rest(name))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _rest(self, name: str) -> None:
        engine: Any = self._engines[name]
        if self._busy(name) or getattr(engine, "state", "") in COMING:
            self._arm(name, SOON)
            return
        await engine.rest()

    def close(self) -> None:
        """Nobody rests any more."""
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()
