"""How the gateway and its engines are, for people and for load balancers.

`/health` is 200 when every model of this house answers, 503 while one is loading or down; where all are elsewhere,
those count. `/health?live` is 200 as long as the process works at all.
"""

from __future__ import annotations

import msgspec

from penjing.engines.engine import Engine
from penjing.errors import PenjingError
from penjing.gateway.house import House


async def health(house: House) -> tuple[int, bytes]:
    """Status and JSON body of /health."""
    answers = await house.pulse.all(house.engines)
    failures = {name: house.failed.get(house.lane(name)) for name in house.engines}
    models = {name: _model(engine, failures[name], answers[name]) for name, engine in house.engines.items()}
    ours = [model for name, model in models.items() if house.engines[name].local] or list(models.values())
    states = [model["status"] for model in ours]
    ready = bool(states) and all(state == "ready" for state in states)
    word = "ok" if ready else "failed" if "failed" in states else "loading" if "loading" in states else "down"
    said = {"status": word, "live": True, "ready": ready, "models": models}
    return 200 if ready else 503, msgspec.json.encode(said)


def _model(engine: Engine, failure: PenjingError | None, answers: bool) -> dict[str, object]:
    progress = engine.progress
    said: dict[str, object] = {"status": "loading", "stage": progress.stage, "progress": round(progress.fraction, 3)}
    said["local"] = engine.local
    restarts = getattr(engine, "restarts", None)
    if isinstance(restarts, int):
        said["restarts"] = restarts
    if failure is not None:
        said.update(status="failed", error=failure.message("en"))
    elif getattr(engine, "state", "") == "failed":
        said.update(status="failed", error=getattr(engine, "detail", ""))
    elif progress.fraction >= 1:
        said["status"] = "ready" if answers else "down"
    return said


LIVE = msgspec.json.encode({"status": "ok", "live": True})
