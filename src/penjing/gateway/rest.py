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


class Rests:
    """`busy` tells whether an engine is at work."""

    def __init__(self, engines: Mapping[str, Engine], busy: Callable[[str], bool]) -> None:
        self._engines = engines
        self._busy = busy
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._tasks: set[asyncio.Task[Any]] = set()

    def after(self, name: str, seconds: float | None) -> None:
        """Let the engine rest `seconds` from now, unless somebody says otherwise before; None and infinity: never."""
        timer = self._timers.pop(name, None)
        if timer is not None:
            timer.cancel()
        if seconds is None or math.isinf(seconds) or not hasattr(self._engines.get(name), "rest"):
            return
        self._timers[name] = asyncio.get_running_loop().call_later(seconds, self._due, name)

    def until(self, name: str) -> float | None:
        """Seconds until it rests; None where it does not."""
        timer = self._timers.get(name)
        return None if timer is None else max(timer.when() - asyncio.get_running_loop().time(), 0.0)

    def _due(self, name: str) -> None:
        self._timers.pop(name, None)
        if self._busy(name):
            self.after(name, SOON)
            return
        engine: Any = self._engines[name]
        task = asyncio.get_running_loop().create_task(engine.rest())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def close(self) -> None:
        """Nobody rests any more."""
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()
