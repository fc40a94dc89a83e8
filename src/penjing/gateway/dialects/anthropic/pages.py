"""What Anthropic's clients read beside answers: how many tokens a prompt has, which models there are."""

from __future__ import annotations

from datetime import datetime, timezone
from urllib.parse import parse_qs, unquote

import msgspec

from penjing.engines.engine import Engine
from penjing.errors import EngineError, InvalidRequest
from penjing.gateway.ask import Ask
from penjing.gateway.count import question
from penjing.gateway.dialects.anthropic import wire
from penjing.gateway.dialects.anthropic.endpoint import Messages
from penjing.gateway.dialects.dialect import Answered
from penjing.gateway.dialects.openai.errors import JSON
from penjing.gateway.grant import Grant
from penjing.gateway.house import House
from penjing.gateway.models import STARTED, chosen, known
from penjing.gateway.reply import Incoming

COUNTED = Messages(body=wire.Prompt)
MODELS = "/v1/models"
PAGE = 20
LONGEST_PAGE = 1000


async def count(incoming: Incoming, house: House, grant: Grant) -> Answered:
    """POST /v1/messages/count_tokens, counted by the model's own template and tokenizer."""
    ask = Ask(COUNTED, incoming)
    ask.key = grant
    return 200, JSON, msgspec.json.encode({"input_tokens": await question(ask, house)})


async def models(incoming: Incoming, house: House, grant: Grant) -> Answered:
    """GET /v1/models, in pages of `limit`."""
    asked = parse_qs(incoming.query)
    engines = known(house, grant)
    some, more = _page(list(engines), asked)
    said = {
        "data": [_described(name, engines[name]) for name in some],
        "has_more": more,
        "first_id": some[0] if some else None,
        "last_id": some[-1] if some else None,
    }
    return 200, JSON, msgspec.json.encode(said)


async def model(incoming: Incoming, house: House, grant: Grant) -> Answered:
    """GET /v1/models/NAME."""
    described = _described(*chosen(house, grant, unquote(incoming.path.removeprefix(f"{MODELS}/"))))
    return 200, JSON, msgspec.json.encode(described)


def _page(names: list[str], asked: dict[str, list[str]]) -> tuple[list[str], bool]:
    """The names after or before the one asked for, at most `limit`, and whether there are more."""
    limit = asked.get("limit", [str(PAGE)])[-1]
    if not limit.isdecimal() or not 1 <= int(limit) <= LONGEST_PAGE:
        raise InvalidRequest(detail=f"limit: a number from 1 to {LONGEST_PAGE} is expected.", param="limit")
    after, before = asked.get("after_id", [""])[-1], asked.get("before_id", [""])[-1]
    start = names.index(after) + 1 if after in names else 0
    end = names.index(before) if before in names else len(names)
    if before:
        start = max(start, end - int(limit))
        return names[start:end], start > 0
    return names[start:end][: int(limit)], end - start > int(limit)


def _described(name: str, engine: Engine) -> dict[str, object]:
    created = datetime.fromtimestamp(STARTED, timezone.utc)
    said: dict[str, object] = {
        "type": "model",
        "id": name,
        "display_name": name,
        "created_at": created.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "lifecycle": "active",
    }
    try:
        context = engine.capabilities.context
    except EngineError:  # loading, or given up
        return said
    return said | ({"max_input_tokens": context, "max_tokens": context} if context else {})
