"""Bytes to a checked body. Whatever is wrong is said with its place; a client's mistake is never our failure."""

from __future__ import annotations

import re
import types
from collections.abc import Iterator
from difflib import get_close_matches
from functools import cache
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

import msgspec

from penjing.errors import InvalidRequest, UnknownOption
from penjing.gateway.dialects.openai import wire

T = TypeVar("T", bound=wire.Wire)

UNKNOWN = re.compile(r"Object contains unknown field `(.*?)`(?: - at `\$(.*)`)?$", re.DOTALL)
PLACE = re.compile(r"^(.*?)(?: - at `\$(.*)`)?$", re.DOTALL)
CLOSE = 5
LONGEST = 64
"""Characters of an unknown name that are repeated; a longer one is near nothing, and comparing it takes seconds."""


class Misspelled(UnknownOption):
    """Facts: `name`, `where`, `close`, `param`."""

    hint = "Did you mean: {close}?"


class UnknownField(UnknownOption):
    """Facts: `name`, `where`, `param`."""

    hint = "Options are listed in /openapi.json."


def parse(body: bytes, kind: type[T]) -> T:
    """`body` as a `kind`. Raises InvalidRequest, UnknownOption."""
    if not body:
        raise InvalidRequest(detail="The request has no body; a JSON object is expected.")
    if not body.isascii():
        _require_utf8(body)
    try:
        parsed: T = decoder(kind).decode(body)
    except msgspec.ValidationError as error:
        raise _explained(str(error), kind) from None
    except msgspec.DecodeError as error:
        raise InvalidRequest(detail=f"The body is not valid JSON: {error}") from None
    except RecursionError:
        raise InvalidRequest(detail="The body is nested too deeply.") from None
    return parsed


@cache
def decoder(kind: type[wire.Wire]) -> msgspec.json.Decoder[Any]:
    """One for each kind of body, of whatever dialect: its checks are compiled once."""
    return msgspec.json.Decoder(kind)


def _require_utf8(body: bytes) -> None:
    try:
        body.decode()
    except UnicodeDecodeError as error:
        raise InvalidRequest(detail=f"The body is not valid UTF-8 (byte {error.start}).") from None


def _explained(message: str, kind: type[wire.Wire]) -> InvalidRequest | UnknownOption:
    unknown = UNKNOWN.match(message)
    if unknown:
        name, path = unknown[1], _dotted(unknown[2] or "")
        close = get_close_matches(name, known(kind, path), CLOSE, 0.6) if len(name) <= LONGEST else []
        name = name if len(name) <= LONGEST else name[:LONGEST] + "…"
        where, param = path or "the request", f"{path}.{name}" if path else name
        if close:
            return Misspelled(name=name, where=where, close=", ".join(close), param=param)
        return UnknownField(name=name, where=where, param=param)
    place = PLACE.match(message)
    said, path = (place[1], _dotted(place[2] or "")) if place else (message, "")
    return InvalidRequest(detail=f"{path}: {said}." if path else f"{said}.", param=path or None)


def _dotted(path: str) -> str:
    return path.removeprefix(".")


def known(kind: type[wire.Wire], path: str) -> list[str]:
    """The field names allowed at `path` (such as `messages[...].content[...]`) of a `kind`."""
    kinds: list[object] = [kind]
    for step in re.findall(r"[^.\[\]]+|\[[^\]]*\]", path):
        below: list[object] = []
        for each in kinds:
            if step.startswith("["):
                below += [part for part in get_args(each) if get_origin(each) in (list, tuple, dict)]
            elif isinstance(each, type) and issubclass(each, wire.Wire):
                below += [get_type_hints(each)[step]] if step in get_type_hints(each) else []
        kinds = [one for each in below for one in _alternatives(each)]
    structures = [each for each in kinds if isinstance(each, type) and issubclass(each, wire.Wire)]
    return [name for each in structures for name in wire.names(each)]


def _alternatives(hint: object) -> Iterator[object]:
    if get_origin(hint) in (Union, types.UnionType):
        for part in get_args(hint):
            yield from _alternatives(part)
    else:
        yield hint
