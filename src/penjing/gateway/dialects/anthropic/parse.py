"""Bytes to a checked body; what only Anthropic's own servers can do is named before a field of it is called unknown."""

from __future__ import annotations

from typing import TypeVar

import msgspec

from penjing.errors import InputError, Unsupported
from penjing.gateway.dialects.anthropic import wire
from penjing.gateway.dialects.openai.parse import parse

T = TypeVar("T", bound=wire.Prompt)
DIALECT = "This server"


class _Typed(msgspec.Struct):
    type: str = "custom"


class _Glance(msgspec.Struct):
    """As much of a body as tells hosted tools from a client's own."""

    tools: list[_Typed] = []


def parsed(body: bytes, kind: type[T]) -> T:
    """`body` as a `kind`. Raises InvalidRequest, UnknownOption, Unsupported."""
    try:
        return parse(body, kind)
    except InputError:
        _hosted(body)
        raise


def _hosted(body: bytes) -> None:
    try:
        tools = msgspec.json.decode(body, type=_Glance).tools
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return
    for index, tool in enumerate(tools):
        if tool.type != "custom":
            raise Unsupported(feature=f"tools of type '{tool.type}'", model=DIALECT, param=f"tools[{index}]")
