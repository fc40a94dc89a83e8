"""What Ollama's clients read beside answers: which models there are, what they can do, which are loaded."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import datetime, timedelta, timezone
from typing import Any

import msgspec

from penjing import __version__
from penjing.engines.engine import Engine
from penjing.errors import EngineError, Unsupported
from penjing.gateway.dialects.dialect import Answered
from penjing.gateway.dialects.ollama.convert import HERE, plain
from penjing.gateway.dialects.ollama.said import stamp
from penjing.gateway.dialects.ollama.wire import Managed, Named
from penjing.gateway.dialects.openai.errors import JSON
from penjing.gateway.dialects.openai.parse import parse
from penjing.gateway.grant import Grant
from penjing.gateway.house import House
from penjing.gateway.models import chosen, known
from penjing.gateway.reply import Incoming

VERSION = "0.13.0"
"""Of Ollama's API that is spoken here: clients look whether theirs is met."""
FOREVER = timedelta(days=365 * 100)
ABILITIES = {
    "chat": "completion",
    "tools": "tools",
    "vision": "vision",
    "reasoning": "thinking",
    "embeddings": "embedding",
}
"""Our names and Ollama's."""


async def running(incoming: Incoming, house: House, grant: Grant) -> Answered:
    """GET /"""
    return _told({"message": "penjing is running"})


async def version(incoming: Incoming, house: House, grant: Grant) -> Answered:
    """GET /api/version"""
    return _told({"version": VERSION, "penjing": __version__})


async def tags(incoming: Incoming, house: House, grant: Grant) -> Answered:
    """GET /api/tags"""
    return _told({"models": [_model(*pair) for pair in known(house, grant).items()]})


async def loaded(incoming: Incoming, house: House, grant: Grant) -> Answered:
    """GET /api/ps"""
    return _told({"models": [_running(house, *pair) for pair in known(house, grant).items() if _is_loaded(pair[1])]})


async def show(incoming: Incoming, house: House, grant: Grant) -> Answered:
    """POST /api/show"""
    asked = parse(incoming.body, Named)
    name, engine = chosen(house, grant, plain(asked.model or asked.name))
    facts = _facts(engine)
    details = _details(facts)
    abilities = [theirs for ours, theirs in ABILITIES.items() if facts.get(ours)]
    info = {"general.architecture": details["family"]}
    if facts.get("context"):
        info[f"{details['family']}.context_length"] = facts["context"]
    return _told(
        {
            "modelfile": f"# served by penjing\nFROM {name}\n",
            "parameters": "",
            "template": "",
            "details": details,
            "model_info": info,
            "capabilities": abilities,
            "modified_at": stamp(),
        }
    )


async def managed(incoming: Incoming, house: House, grant: Grant) -> Answered:
    """What would change the models here. Raises Unsupported."""
    parse(incoming.body, Managed)
    word = incoming.path.rpartition("/")[2]
    raise Unsupported(feature=f"'{word}': models are chosen where it is started (penjing serve MODEL ...)", model=HERE)


def _is_loaded(engine: Engine) -> bool:
    return engine.progress.fraction >= 1 and getattr(engine, "state", "ready") != "resting"


def _running(house: House, name: str, engine: Engine) -> dict[str, Any]:
    until = house.rests.until(name)
    now = datetime.now(timezone.utc)
    left = FOREVER if until is None else timedelta(seconds=until)
    expires = (now + left).isoformat(timespec="seconds").replace("+00:00", "Z")
    context = _facts(engine).get("context", 0)
    return {**_model(name, engine), "expires_at": expires, "size_vram": 0, "context_length": context}


def _model(name: str, engine: Engine) -> dict[str, Any]:
    facts = _facts(engine)
    digest = hashlib.sha256(f"{name} {facts.get('version', '')}".encode()).hexdigest()
    size = int(facts.get("size", 0))
    told = {"name": name, "model": name, "modified_at": stamp(), "size": size, "digest": digest}
    return told | {"details": _details(facts)}


def _details(facts: Mapping[str, Any]) -> dict[str, Any]:
    family = str(facts.get("architecture", "")) or "unknown"
    return {
        "parent_model": "",
        "format": "gguf",
        "family": family,
        "families": [family],
        "parameter_size": str(facts.get("parameter_size", "")),
        "quantization_level": str(facts.get("quantization", "")),
    }


def _facts(engine: Engine) -> dict[str, Any]:
    """What the engine tells of its model; {} while it loads."""
    try:
        can = engine.capabilities
    except EngineError:
        return {}
    facts = {name: getattr(can, name) for name in (*ABILITIES, "context", "version")}
    return {**facts, **can.metadata}


def _told(said: dict[str, object]) -> Answered:
    return 200, JSON, msgspec.json.encode(said)
