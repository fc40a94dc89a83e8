"""Whether engines answer now: asked all at once, with little patience, and those elsewhere not with every question.

Does not know: what is told about it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping

from penjing.engines.engine import Engine

PATIENCE = 2.0
"""Seconds an engine may take to say that it is ready."""
KEPT = 5.0
"""Seconds for which what an engine elsewhere said is believed: load balancers ask often."""


class Pulse:
    """Remembers what engines elsewhere said."""

    def __init__(self) -> None:
        self._told: dict[str, tuple[float, asyncio.Task[bool]]] = {}

    async def all(self, engines: Mapping[str, Engine]) -> dict[str, bool]:
        """Which of `engines` answer."""
        return dict(zip(engines, await asyncio.gather(*map(self.ready, engines, engines.values())), strict=True))

    async def ready(self, name: str, engine: Engine) -> bool:
        """Whether one answers."""
        if engine.progress.fraction < 1:
            return False
        if engine.local:
            return await _asked(engine)
        until, task = self._told.get(name, (0.0, None))
        if task is None or (task.done() and time.monotonic() > until) or task.cancelled():
            task = asyncio.get_running_loop().create_task(_asked(engine))
            self._told[name] = time.monotonic() + KEPT, task
        return await asyncio.shield(task)


async def _asked(engine: Engine) -> bool:
    try:
        return await asyncio.wait_for(engine.ready(), PATIENCE)
    except asyncio.TimeoutError:
        return False
