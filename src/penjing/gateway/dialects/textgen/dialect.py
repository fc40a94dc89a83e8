"""text-generation-webui's dialect, as it is registered."""

from __future__ import annotations

import msgspec

from penjing.errors import InvalidRequest
from penjing.gateway.count import text_tokens
from penjing.gateway.dialects.dialect import Answered, Dialect, Page
from penjing.gateway.dialects.openai.errors import JSON
from penjing.gateway.dialects.openai.parse import parse
from penjing.gateway.dialects.textgen.endpoints import ENDPOINTS
from penjing.gateway.dialects.textgen.said import refusal
from penjing.gateway.dialects.textgen.wire import Counted, ModelBody
from penjing.gateway.grant import Grant, stays
from penjing.gateway.house import House
from penjing.gateway.models import chosen, known
from penjing.gateway.reply import Incoming

MODEL = "/api/v1/model"


async def count(incoming: Incoming, house: House, grant: Grant) -> Answered:
    """POST /api/v1/token-count, by the model's own tokenizer."""
    asked = parse(incoming.body, Counted)
    name, _ = chosen(house, grant, asked.model)
    local_only = grant.local_only or stays(incoming)
    tokens = await text_tokens(house, name, asked.prompt, local_only)
    return _told({"results": [{"tokens": tokens}]})


async def model(incoming: Incoming, house: House, grant: Grant) -> Answered:
    """GET /api/v1/model: the one that answers where none is named."""
    return _told({"result": chosen(house, grant, "")[0]})


async def models(incoming: Incoming, house: House, grant: Grant) -> Answered:
    """POST /api/v1/model: what can be read of its actions."""
    asked = parse(incoming.body, ModelBody)
    if asked.model_name or asked.args or asked.settings:
        raise InvalidRequest(detail="Models are chosen where the server is started, not here.", param="action")
    if asked.action == "list":
        return _told({"result": list(known(house, grant))})
    name = chosen(house, grant, "")[0]
    return _told({"result": {"model_name": name, "lora_names": []} if asked.action == "info" else name})


def _told(said: dict[str, object]) -> Answered:
    return 200, JSON, msgspec.json.encode(said)


DIALECT = Dialect(
    "textgen",
    refusal,
    ENDPOINTS,
    (
        Page("POST", "/api/v1/token-count", count, "Tokens of a text.", Counted),
        Page("GET", MODEL, model, "The model that answers."),
        Page("POST", MODEL, models, "What models there are.", ModelBody),
    ),
    sockets=tuple(endpoint.path for endpoint in ENDPOINTS if endpoint.streams),
)
