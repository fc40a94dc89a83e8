"""Bodies of dialects whose owners also run tools: one of theirs is named before a field of it is called unknown."""

from __future__ import annotations

from typing import TypeVar

import msgspec

from penjing.errors import InputError, Unsupported
from penjing.gateway.dialects.openai.parse import parse
from penjing.gateway.dialects.openai.wire import Wire

T = TypeVar("T", bound=Wire)
HERE = "This server"


class _Tool(msgspec.Struct):
    type: str = ""


class _Glance(msgspec.Struct):
    """As much of a body as tells hosted tools from a client's own."""

    tools: list[_Tool] = []


def parsed(body: bytes, kind: type[T], own: str) -> T:
    """`body` as a `kind`; `own` is the type of the tools that clients run themselves. Raises InvalidRequest,
    UnknownOption, Unsupported."""
    try:
        return parse(body, kind)
    except InputError:
        _refuse(body, own)
        raise


def _refuse(body: bytes, own: str) -> None:
    try:
        tools = msgspec.json.decode(body, type=_Glance).tools
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return
    for index, tool in enumerate(tools):
        if tool.type not in ("", own):
            raise Unsupported(feature=f"tools of type '{tool.type}'", model=HERE, param=f"tools[{index}]")
