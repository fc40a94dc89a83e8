"""An engine with one of its LoRA adapters, as an engine under a name of its own: `guide:pirate` is `guide` with
`pirate`.

It is a view: the engine it is of is started, watched and stopped by others, and whoever waits for one waits for both.

Does not know: which kind of engine that is, how adapters are computed.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from penjing.engines.engine import Address, Capabilities, Engine, Progress
from penjing.engines.never import never

MARK = ":"
"""Between the names of a model and of its adapter."""


class Adapted:
    """`engine` with its adapter `adapter`. `of` is the name of the engine whose slots and memory it uses."""

    def __init__(self, engine: Engine, adapter: str) -> None:
        self._engine = engine
        self._adapter = adapter

    def __repr__(self) -> str:
        return f"Adapted({self._engine!r}, {self._adapter!r})"

    @property
    def of(self) -> str:
        """The engine's name."""
        return self._engine.name

    @property
    def name(self) -> str:
        """The name clients ask for."""
        return f"{self.of}{MARK}{self._adapter}"

    @property
    def address(self) -> Address:
        """The engine's own. Raises EngineLoading."""
        return self._engine.address

    @property
    def capabilities(self) -> Capabilities:
        """The engine's, asked with the adapter; those that have no name stay as they are. Raises EngineLoading."""
        can = self._engine.capabilities
        weights = tuple(weight if name in ("", self._adapter) else 0.0 for name, weight in can.adapters)
        version = f"{can.version}{MARK}{self._adapter}" if can.version else ""
        return replace(can, model=self.name, weights=weights, version=version)

    @property
    def local(self) -> bool:
        return self._engine.local

    @property
    def progress(self) -> Progress:
        return self._engine.progress

    async def wake(self) -> None:
        """Wait until the engine is there, where it rests."""
        engine: Any = self._engine
        if hasattr(engine, "wake"):
            await engine.wake()

    async def start(self) -> None:
        """Its engine is started by whoever keeps that."""

    async def ready(self) -> bool:
        return await self._engine.ready()

    async def ended(self) -> str:
        return await never()

    async def stop(self) -> None:
        """As `start`."""
