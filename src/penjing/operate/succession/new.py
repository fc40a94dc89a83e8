"""The server that takes over: from the process that started it, it has the listening socket and a line to it.

It loads its models first and accepts connections only then, so that until it is ready the old one answers everybody.
Where both do not fit into memory it says so, and the old one makes room while who comes waits in the socket's queue.

Does not know: how it was started.
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from penjing.engines.engine import Engine
from penjing.engines.llamacpp import EngineOptions, LlamaCpp
from penjing.errors import ModelTooBig
from penjing.files import human
from penjing.operate.succession.channel import Channel, heard_first
from penjing.operate.supervise import Supervised
from penjing.probe import machine

HEIR = "PENJING_HEIR"
"""The variable that tells a new server the numbers of its two descriptors: the listener's and the line's."""


@dataclass
class Heir:
    """What was handed over: the `listener`, and how large the old engines are (`sizes`: context and slots by name).
    `free` bytes of memory were free when the old server started; 0 where it did not say."""

    listener: socket.socket
    channel: Channel
    sizes: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    free: int = 0
    _asked: list[tuple[LlamaCpp, EngineOptions]] = field(default_factory=list)

    async def before(self, engines: Mapping[str, Engine]) -> None:
        """Return when there is memory for the engines: at once where they fit beside the old ones. Engines are as large
        as the old ones where nobody asked for another size: beside the old ones less memory is free, and that must not
        make them smaller."""
        ours = {name: found for name in self.sizes if (found := _worker(engines.get(name))) is not None}
        for name, worker in ours.items():
            context, slots = self.sizes[name]
            asked = worker.options
            self._asked.append((worker, asked))
            worker.options = replace(asked, max_context=asked.max_context or context, parallel=asked.parallel or slots)
        needed, free = await _needed(list(ours.values())), await asyncio.to_thread(_free)
        if needed > free:
            self.channel.send("crowded", needed=human(needed), free=human(free))
            self._as_asked()
            if (await self.channel.hear())["event"] != "room":
                raise SystemExit(1)  # the old server is gone or wants us no more

    def ready(self) -> None:
        """It answers."""
        self._as_asked()
        self.channel.send("ready")

    def failed(self, detail: str) -> None:
        """It will not."""
        self.channel.send("failed", detail=detail)

    def _as_asked(self) -> None:
        """The next start is in memory that is free."""
        for worker, asked in self._asked:
            worker.options = asked
        self._asked.clear()

    def after(self, work: Callable[[], Coroutine[Any, Any, None]]) -> Callable[[], Coroutine[Any, Any, None]]:
        """`work`, begun when the old server does not do it any more."""

        async def later() -> None:
            await self.yours()
            await work()

        return later

    async def yours(self) -> None:
        """Wait until the old server only finishes its answers."""
        while (await self.channel.hear())["event"] not in ("yours", ""):
            pass


def heir() -> Heir | None:
    """What this process was handed, None where it is nobody's successor. Workers do not get any of it."""
    given = os.environ.pop(HEIR, "")
    if not given:
        return None
    numbers = [int(each) for each in given.split(",")]
    for number in numbers:
        os.set_inheritable(number, False)
    listener, line = (socket.socket(fileno=number) for number in numbers)
    listener.setblocking(False)
    said = heard_first(line)
    sizes = {name: (int(context), int(slots)) for name, (context, slots) in said.get("sizes", {}).items()}
    return Heir(listener, Channel(line), sizes, int(said.get("free", 0)))


def sizes(engines: Mapping[str, Engine]) -> dict[str, tuple[int, int]]:
    """Context and slots of the models of this machine that are loaded."""
    found = {}
    for name, engine in engines.items():
        worker = _worker(engine)
        if worker is not None and worker.derived is not None and getattr(engine, "state", "ready") == "ready":
            found[name] = (worker.derived.settings.context, worker.derived.settings.slots)
    return found


def _worker(engine: Engine | None) -> LlamaCpp | None:
    inner = engine.engine if isinstance(engine, Supervised) else engine
    return inner if isinstance(inner, LlamaCpp) else None


async def _needed(workers: list[LlamaCpp]) -> float:
    """Bytes for all; infinity where one alone does not fit. Raises ModelError, SettingError, DeviceUnavailable."""
    try:
        return sum([(await worker.foresee()).need.total for worker in workers])
    except ModelTooBig:
        return float("inf")


def _free() -> int:
    """Bytes of memory, the GPUs' own included."""
    found = machine.read()
    return found.memory_available + sum(gpu.memory_free for gpu in found.gpus if gpu.kind != "metal")
