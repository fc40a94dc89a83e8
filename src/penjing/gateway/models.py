"""What is told about the models: OpenAI's list, and each engine's figures for /metrics."""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import suppress

import msgspec

from penjing.engines.engine import Engine
from penjing.errors import EngineError
from penjing.gateway.grant import Grant
from penjing.gateway.house import House, NoSuchModel
from penjing.gateway.metrics import Counter, Gauge
from penjing.gateway.upstream import Pool

STARTED = int(time.time())
MEMORY = {
    "resident": "All that the engine's process has in memory.",
    "private": "What would be freed if the engine's process ended.",
    "mapped": "How much of the model file is mapped.",
    "mapped_resident": "How much of the model file is in memory, shared with the page cache.",
}
"""Kinds of memory of a footprint. They overlap, so each is a metric of its own: their sum would mean nothing."""


def known(house: House, grant: Grant) -> dict[str, Engine]:
    """The engines that a key may ask, and so may know of."""
    return {name: engine for name, engine in house.engines.items() if grant.allows(name)}


def chosen(house: House, grant: Grant, model: str) -> tuple[str, Engine]:
    """As `House.chosen`, among those. Raises NoSuchModel, and why it failed."""
    engines = known(house, grant)
    if model not in ("", *engines) or not engines:
        raise NoSuchModel(model=model, known=", ".join(engines), param="model")
    return house.chosen(model or next(iter(engines)))


def listed(engines: Mapping[str, Engine]) -> bytes:
    """The body of /v1/models."""
    return msgspec.json.encode({"object": "list", "data": [_described(*pair) for pair in engines.items()]})


def one(name: str, engine: Engine) -> bytes:
    """The body of /v1/models/NAME."""
    return msgspec.json.encode(_described(name, engine))


def _described(name: str, engine: Engine) -> dict[str, object]:
    said: dict[str, object] = {"id": name, "object": "model", "created": STARTED, "owned_by": "penjing"}
    try:
        can = engine.capabilities
    except EngineError:  # loading, or given up
        return said | {"ready": False}
    abilities = ("chat", "embeddings", "rerank", "vision", "audio", "tools", "reasoning")
    said["ready"] = True
    said["context_length"] = can.context
    said["capabilities"] = [ability for ability in abilities if getattr(can, ability)]
    return said


async def metrics(
    engines: Mapping[str, Engine], pools: Mapping[str, Pool], answers: Mapping[str, bool]
) -> tuple[Counter, ...]:
    """Figures that engines keep themselves, read when somebody asks. `answers`: whether each engine does, now."""
    ready = Gauge("penjing_engine_ready", "1 when the engine answers.", ("model",))
    slots = Gauge("penjing_engine_slots", "Requests the engine works on at once.", ("model",))
    active = Gauge("penjing_engine_requests_active", "Requests handed to the engine.", ("model",))
    queued = Gauge("penjing_engine_requests_queued", "Requests waiting for the engine.", ("model",))
    restarts = Counter("penjing_engine_restarts_total", "Times the engine was started again.", ("model",))
    memory = {
        kind: Gauge(f"penjing_engine_{kind}_memory_bytes", help_text, ("model",)) for kind, help_text in MEMORY.items()
    }
    for name, engine in engines.items():
        up = answers[name]
        ready.set(name, to=int(up))
        if up:
            with suppress(EngineError):  # it may have ended since it was asked
                slots.set(name, to=engine.capabilities.slots)
        pool = pools.get(name)
        active.set(name, to=pool.active if pool else 0)
        queued.set(name, to=pool.queued if pool else 0)
        restarts.set(name, to=getattr(engine, "restarts", 0))
        weigh = getattr(getattr(engine, "engine", engine), "footprint", None)  # of a supervised one: its engine's
        if up and weigh is not None:
            footprint = await weigh()
            for kind, gauge in memory.items():
                gauge.set(name, to=getattr(footprint, kind))
    return ready, slots, active, queued, restarts, *memory.values()
