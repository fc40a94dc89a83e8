"""The items of a question: checked, found where they are only referred to, kept for the next one."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from penjing.errors import InvalidRequest
from penjing.gateway.dialects.openai.parse import UnknownField
from penjing.gateway.dialects.openai.wire import names
from penjing.gateway.dialects.responses import said, wire
from penjing.gateway.dialects.responses.store import Store

SHARED = {"type", "id", "status", "created_by"}
FIELDS: dict[str, set[str]] = {
    "message": {"role", "content", "phase"},
    "function_call": {"call_id", "name", "arguments", "caller", "namespace", "async"},
    "function_call_output": {"call_id", "output", "name", "caller", "namespace"},
    "reasoning": {"summary", "content", "encrypted_content"},
    "item_reference": set(),
}
NEEDED = {
    "message": ("role", "content"),
    "function_call": ("call_id", "name", "arguments"),
    "function_call_output": ("call_id", "output"),
    "item_reference": ("id",),
}
ATTRIBUTES = {name: "asynchronous" if name == "async" else name for name in names(wire.Item)}
PREFIX = {"message": "msg", "function_call": "fc", "function_call_output": "fco", "reasoning": "rs"}


def own(body: wire.Asked, store: Store, key: str) -> list[wire.Item]:
    """What a body itself says, what it refers to in its place. Raises InvalidRequest, UnknownOption, ItemNotFound."""
    if isinstance(body.input, str):
        return [wire.Item(type="message", role="user", content=body.input)] if body.input else []
    for index, item in enumerate(body.input):
        _check(item, f"input[{index}]")
    return [store.find(key, item.id or "")[0] if kind(item) == "item_reference" else item for item in body.input]


def everything(body: wire.Asked, store: Store, key: str) -> list[wire.Item]:
    """All that was said: what the answer was kept after that it goes on from, and what it says itself."""
    before = store.history(key, body.previous_response_id) if body.previous_response_id else []
    return [*before, *own(body, store, key)]


def private(body: wire.Asked, store: Store, key: str) -> bool:
    """Whether something it goes on from must not leave. For a body that `everything` was found of."""
    if body.previous_response_id and store.get(key, body.previous_response_id).local:
        return True
    said = body.input if isinstance(body.input, list) else []
    return any(store.find(key, item.id or "")[1].local for item in said if kind(item) == "item_reference")


def keeper(body: wire.ResponsesBody, store: Store, key: str, *, local: bool) -> Callable[[str, bytes], None]:
    """What puts an answer, by its id, into the store, together with what `body` said."""
    items = tuple(msgspec.json.encode(_named(item)) for item in own(body, store, key))

    def keep(id: str, response: bytes) -> None:
        store.put(key, id, response, items, body.previous_response_id or "", local)

    return keep


def _named(item: wire.Item) -> wire.Item:
    """`item` in full, as it is listed: with its type, an id, and its text as a part."""
    its, content = kind(item), item.content
    if its == "message" and isinstance(content, str):
        part = wire.OutputText(content, annotations=[]) if item.role == "assistant" else wire.InputText(content)
        content = [part]
    id = item.id or said.new(PREFIX[its])
    return msgspec.structs.replace(item, type=its, id=id, content=content, status=item.status or "completed")


def kind(item: wire.Item) -> str:
    """Its type; one that says none is a message, or where it has only an id, a reference."""
    return item.type or ("message" if item.role else "item_reference")


def _check(item: wire.Item, place: str) -> None:
    its = kind(item)
    for name in ATTRIBUTES:
        given = getattr(item, ATTRIBUTES[name]) is not None
        if given and name not in SHARED and name not in FIELDS[its]:
            raise UnknownField(name=name, where=f"{place}, a {its}", param=f"{place}.{name}")
    for name in NEEDED.get(its, ()):
        if getattr(item, name) is None:
            raise InvalidRequest(detail=f"{place}: a {its} needs a {name}.", param=f"{place}.{name}")
    if its == "reasoning" and item.encrypted_content and not (item.content or item.summary):
        detail = f"{place}: encrypted_content can be read only by the server that wrote it."
        raise InvalidRequest(detail=detail, param=f"{place}.encrypted_content")
