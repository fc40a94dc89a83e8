"""Calls of functions in what a model writes, taken apart from the rest of it.

Does not know: how families write them (`families`, `layout`); who calls the functions.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from penjing.engines.llamacpp.scheduler.families import Family
from penjing.engines.llamacpp.scheduler.layout import Layout, Otherwise, Reading, Unfinished

NEW_ID = 24
"""Bytes of a call's name."""


@dataclass(frozen=True)
class Call:
    """A function's name, and its arguments as JSON."""

    name: str
    arguments: str
    id: str = field(default_factory=lambda: secrets.token_urlsafe(NEW_ID))


class Calls:
    """Takes calls as `family` writes them apart from the rest of a text. What only looks like one stays text. `tools`
    are those that were offered, in OpenAI's form."""

    def __init__(self, family: Family, tools: Sequence[Mapping[str, Any]] = ()) -> None:
        offered = {tool["function"]["name"]: tool["function"].get("parameters") or {} for tool in tools}
        self.family, self.count = family, 0
        self._layouts = [Layout(family, parts, offered) for parts in family.layouts]
        self._marks = {mark for layout in self._layouts for mark in layout.beginnings}
        self._anywhere = all(layout.beginnings for layout in self._layouts)
        self._held = ""
        self._fresh = True  # nothing was said, or nothing since the last call

    def split(self, text: str, *, last: bool) -> tuple[str, tuple[Call, ...]]:
        """Content and calls of what was held back and `text`."""
        text, self._held = self._after(self._held + text), ""
        content, calls, at = "", list[Call](), 0
        while (place := self._place(text, at)) < len(text):
            try:
                end, found = self._read(text, place, last=last)
            except Unfinished:
                break
            except Otherwise:
                at = place + 1
                self._fresh = False
                continue
            content += text[:place].rstrip()
            calls += called(found)
            self.count, self._fresh = self.count + len(found.calls), True
            text, at = self._after(text[end:]), 0
        told = text if last else text[:place].rstrip()
        self._held = text[len(told) :]
        self._fresh = self._fresh and not told.strip()
        return content + told, tuple(calls)

    def _after(self, text: str) -> str:
        """`text` without what may stand between two calls, where it follows one."""
        return text.lstrip(self.family.between + " \t\r\n") if self.count and self._fresh else text

    def _place(self, text: str, at: int) -> int:
        """Where a call may begin from `at` on; the end where it may nowhere."""
        places = [len(text)]
        if self._fresh and not self._anywhere and at == 0:
            places.append(len(text) - len(text.lstrip()))
        for mark in self._marks:
            found = text.find(mark, at)
            ends = (size for size in range(min(len(mark) - 1, len(text) - at), 0, -1) if text.endswith(mark[:size]))
            places.append(found if found >= 0 else len(text) - next(ends, 0))
        return min(places)

    def _read(self, text: str, at: int, *, last: bool) -> tuple[int, Reading]:
        """Raises Unfinished, Otherwise."""
        first = self._fresh and not text[:at].strip()
        for layout in self._layouts:
            if not (layout.beginnings or first):
                continue
            try:
                end, found = layout.read(text, at, last=last)
            except Otherwise:
                continue
            except Unfinished:
                if last:
                    continue
                raise
            if found.calls:
                return end, found
        raise Otherwise


def called(found: Reading) -> list[Call]:
    """With the names that the model gave them, or new ones."""
    more = {"id": found.id} if found.id else {}
    return [Call(name, arguments, **more) for name, arguments in found.calls]
