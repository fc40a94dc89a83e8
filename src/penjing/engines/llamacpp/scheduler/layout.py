"""Reads one call of a function by the layout of its family, part after part.

While the text may still become a call, that is said too: what is decided once is never decided otherwise by what comes
later, so that a text gives the same calls however it is cut into pieces.

Does not know: where in a text a call may begin (`tools`).
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec

from penjing.engines.llamacpp.scheduler.families import Family

NAME = re.compile(r"[\w.:/-]+")
SPACE = re.compile(r"\s*")
SIGN = re.compile(r'"(?:[^"\\]|\\.)*(?:"|\\?\Z)|[{}\[\]]', re.DOTALL)
"""What counts where the end of an object is looked for; a string may not be over yet."""
Raw = tuple[str, str]
"""A function's name, and its arguments as JSON."""


class Unfinished(Exception):
    """It may still become a call."""


class Otherwise(Exception):
    """It is none."""


@dataclass
class Reading:
    """What was read of a call so far."""

    name: str = ""
    id: str = ""
    arguments: str = ""
    calls: list[Raw] = field(default_factory=list)


class Layout:
    """`parts` of `family`; `offered` are the functions that may be called, with the JSON schemas of their arguments."""

    def __init__(self, family: Family, parts: tuple[str, ...], offered: Mapping[str, Mapping[str, Any]]) -> None:
        self.family, self.parts, self.offered = family, parts, offered

    @property
    def beginnings(self) -> list[str]:
        """The texts that it may begin with; none where it begins with something else."""
        found = []
        for part in self.parts:
            if part.startswith("{"):
                return []
            found.append(part.removeprefix("?"))
            if not part.startswith("?"):
                break
        return found

    def read(self, text: str, at: int, *, last: bool) -> tuple[int, Reading]:
        """Where the call that begins at `at` ends, and what it is. Raises Unfinished, where more may come (not `last`),
        and Otherwise."""
        found = Reading()
        for number, part in enumerate(self.parts):
            if last and not text[at:].strip() and not any(left.startswith("{") for left in self.parts[number:]):
                return len(text), found
            at = self._part(part, text, at, found, last=last)
        return at, found

    def _part(self, part: str, text: str, at: int, found: Reading, *, last: bool) -> int:
        if not part.startswith("{"):
            return literal(part, text, at, last=last)
        at = begin(text, at)
        if part in ("{name}", "{tool}", "{id}"):
            end, word = named(text, at)
            if part == "{tool}" and word not in self.offered:
                raise Otherwise
            found.id, found.name = (word, found.name) if part == "{id}" else (found.id, word)
            return end
        if part == "{pairs}":
            end, values = self._pairs(text, at, found.name)
            found.arguments = json.dumps(values, ensure_ascii=False)
        else:
            end = value_end(text, at)
            self._value(part, text[at:end], found)
        if found.arguments:
            found.calls = [(found.name, found.arguments)]
        return end

    def _value(self, part: str, text: str, found: Reading) -> None:
        """Raises Otherwise."""
        if part == "{arguments}":
            if not isinstance(decoded(text), dict):
                raise Otherwise
            found.arguments = text
            return
        raw = raws(text) if part == "{calls}" else [text]
        found.calls = [call(each, self.family.keys) for each in raw]
        if not raw or (part == "{known call}" and any(name not in self.offered for name, _ in found.calls)):
            raise Otherwise

    def _pairs(self, text: str, at: int, name: str) -> tuple[int, dict[str, Any]]:
        before, between, opened, after = self.family.pair
        kinds = self.offered.get(name, {}).get("properties") or {}
        values: dict[str, Any] = {}
        while True:
            here = begin(text, at)
            if not text.startswith(before, here):
                if before.startswith(text[here:]):
                    raise Unfinished
                return at, values
            key_at = here + len(before)
            key_end = until(text, between, key_at)
            key = text[key_at:key_end].strip()
            at = key_end + len(between)
            if opened:
                at = literal(opened, text, at, last=False)
            end = until(text, after, at)
            values[key] = meant(text[at:end], kinds.get(key))
            at = end + len(after)


def begin(text: str, at: int) -> int:
    """Where the space ends. Raises Unfinished where nothing comes after it yet."""
    found = SPACE.match(text, at)
    at = found.end() if found else at
    if at == len(text):
        raise Unfinished
    return at


def literal(part: str, text: str, at: int, *, last: bool) -> int:
    """The end of a text that must come next (`?` before it: may). Raises Unfinished, Otherwise."""
    word = part.removeprefix("?")
    optional = word != part
    try:
        here = at if word[0].isspace() else begin(text, at)
    except Unfinished:
        if optional and last:
            return at
        raise
    if text.startswith(word, here):
        return here + len(word)
    if not word.startswith(text[here:]) or (last and optional):
        if optional:
            return at
        raise Otherwise
    raise Unfinished


def until(text: str, mark: str, at: int) -> int:
    """Where `mark` is. Raises Unfinished."""
    found = text.find(mark, at)
    if found < 0:
        raise Unfinished
    return found


def named(text: str, at: int) -> tuple[int, str]:
    """A name and where it ends. Raises Unfinished while it may go on, Otherwise where there is none."""
    found = NAME.match(text, at)
    if found is None:
        raise Otherwise
    if found.end() == len(text):
        raise Unfinished
    return found.end(), found[0]


def value_end(text: str, at: int) -> int:
    """Where the object or list that begins at `at` ends. Raises Unfinished, Otherwise.

    >>> value_end('{"a": "}"} x', 0)
    10
    """
    if text[at] not in "{[":
        raise Otherwise
    depth = 0
    for sign in SIGN.finditer(text, at):
        word = sign[0]
        if word[0] == '"':
            continue
        depth += 1 if word in "{[" else -1
        if depth == 0:
            return sign.end()
    raise Unfinished


def decoded(text: str) -> Any:
    """Raises Otherwise where it is no JSON."""
    try:
        return msgspec.json.decode(text)
    except (msgspec.MsgspecError, RecursionError, UnicodeError):
        raise Otherwise from None


def raws(text: str) -> list[str]:
    """The items of a list, each as it was written. Raises Otherwise."""
    try:
        return [bytes(item).decode() for item in msgspec.json.decode(text, type=list[msgspec.Raw])]
    except (msgspec.MsgspecError, RecursionError, UnicodeError):
        raise Otherwise from None


def call(text: str, keys: tuple[str, str]) -> Raw:
    """The call that an object is; its arguments as they were written. Raises Otherwise."""
    try:
        found = msgspec.json.decode(text, type=dict[str, msgspec.Raw])
    except (msgspec.MsgspecError, RecursionError, UnicodeError):
        raise Otherwise from None
    name, arguments = decoded(bytes(found.get(keys[0], b"0")).decode()), bytes(found.get(keys[1], b"{}")).decode()
    value = decoded(arguments)
    if not isinstance(name, str) or not isinstance(value, dict | str):
        raise Otherwise
    return name, value if isinstance(value, str) else arguments


def meant(text: str, schema: Any) -> Any:
    """The value that a text between marks stands for: a string where its schema says so, else what it is in JSON."""
    text = text.removeprefix("\n").removesuffix("\n")
    kind = schema.get("type") if isinstance(schema, dict) else None
    if kind == "string":
        return text
    try:
        return msgspec.json.decode(text)
    except (msgspec.MsgspecError, RecursionError, UnicodeError):
        return text
