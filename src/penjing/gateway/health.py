"""How the gateway and its engines are, for people and for load balancers.

`/health` is 200 when every model answers, 503 while one is loading or down; `/health?live` is 200 as long as the
process works at all.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from penjing.engines.engine import Engine
from penjing.errors import PenjingError


async def health(engines: Mapping[str, Engine], failed: Mapping[str, PenjingError]) -> tuple[int, bytes]:
    """Status and JSON body of /health."""
    models = {name: await _model(engine, failed.get(name)) for name, engine in engines.items()}
    ready = bool(models) and all(model["status"] == "ready" for model in models.values())
    states = [model["status"] for model in models.values()]
    word = "ok" if ready else "failed" if "failed" in states else "loading" if "loading" in states else "down"
    said = {"status": word, "live": True, "ready": ready, "models": models}
    return 200 if ready else 503, msgspec.json.encode(said)


async def _model(engine: Engine, failure: PenjingError | None) -> dict[str, object]:
    progress = engine.progress
    said: dict[str, object] = {"status": "loading", "stage": progress.stage, "progress": round(progress.fraction, 3)}
    restarts = getattr(engine, "restarts", None)
    if isinstance(restarts, int):
        said["restarts"] = restarts
    if failure is not None:
        said.update(status="failed", error=failure.message("en"))
    elif getattr(engine, "state", "") == "failed":
        said.update(status="failed", error=getattr(engine, "detail", ""))
    elif progress.fraction >= 1:
        said["status"] = "ready" if await engine.ready() else "down"
    return said


LIVE = msgspec.json.encode({"status": "ok", "live": True})
