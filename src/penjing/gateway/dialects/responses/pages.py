"""What is read of answers that were kept, and how many tokens a question has."""

from __future__ import annotations

from urllib.parse import parse_qs, unquote

import msgspec

from penjing.errors import InvalidRequest, Unsupported
from penjing.gateway.ask import Ask
from penjing.gateway.count import question
from penjing.gateway.dialects.dialect import Answered
from penjing.gateway.dialects.hosted import HERE
from penjing.gateway.dialects.openai.errors import JSON
from penjing.gateway.dialects.responses import wire
from penjing.gateway.dialects.responses.endpoint import Responses
from penjing.gateway.dialects.responses.store import ResponseNotFound, Store
from penjing.gateway.grant import Grant
from penjing.gateway.house import House
from penjing.gateway.reply import Incoming

ITEMS = "input_items"
PAGE, LONGEST_PAGE = 20, 100
PREFIX = "/v1/responses/"


async def count(store: Store, incoming: Incoming, house: House, grant: Grant) -> Answered:
    """POST /v1/responses/input_tokens"""
    ask = Ask(Responses(store, body=wire.Asked), incoming)
    ask.key = grant
    counted = await question(ask, house)
    return 200, JSON, msgspec.json.encode({"object": "response.input_tokens", "input_tokens": counted})


async def read(store: Store, incoming: Incoming, house: House, grant: Grant) -> Answered:
    """GET /v1/responses/ID and /v1/responses/ID/input_items"""
    id, _, rest = unquote(incoming.path.removeprefix(PREFIX)).partition("/")
    kept = store.get(grant.name, id)
    query = parse_qs(incoming.query)
    if rest == ITEMS:
        before = store.history(grant.name, kept.previous) if kept.previous else []
        return 200, JSON, _listed([*before, *kept.input()], query)
    if rest:
        raise ResponseNotFound(id=f"{id}/{rest}")
    if query.get("stream", ["false"])[-1] == "true":
        raise Unsupported(feature="streaming an answer again", model=HERE, param="stream")
    return 200, JSON, kept.response


async def delete(store: Store, incoming: Incoming, house: House, grant: Grant) -> Answered:
    """DELETE /v1/responses/ID"""
    id = unquote(incoming.path.removeprefix(PREFIX))
    store.delete(grant.name, id)
    return 200, JSON, msgspec.json.encode({"id": id, "object": "response", "deleted": True})


def _listed(every: list[wire.Item], query: dict[str, list[str]]) -> bytes:
    """A page of items, latest first unless asked otherwise."""
    asked = {name: values[-1] for name, values in query.items()}
    limit, order = asked.get("limit", str(PAGE)), asked.get("order", "desc")
    if not limit.isdecimal() or not 1 <= int(limit) <= LONGEST_PAGE:
        raise InvalidRequest(detail=f"limit: a number from 1 to {LONGEST_PAGE} is expected.", param="limit")
    if order not in ("asc", "desc"):
        raise InvalidRequest(detail="order: 'asc' or 'desc' is expected.", param="order")
    ordered = every if order == "asc" else every[::-1]
    ids = [item.id for item in ordered]
    start = ids.index(asked["after"]) + 1 if asked.get("after") in ids else 0
    page = ordered[start : start + int(limit)]
    said = {
        "object": "list",
        "data": [*page],
        "first_id": page[0].id if page else None,
        "last_id": page[-1].id if page else None,
        "has_more": start + len(page) < len(ordered),
    }
    return msgspec.json.encode(said)
