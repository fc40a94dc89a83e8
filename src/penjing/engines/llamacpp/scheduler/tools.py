"""Calls of functions in what a model writes, in the form of Hermes and Qwen: an object with `name` and `arguments`
between <tool_call> and </tool_call>.

Source: https://github.com/NousResearch/Hermes-Function-Calling, and the chat templates of Qwen 2.5 and 3.

Does not know: other families' forms; who calls the functions.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from penjing.errors import InvalidRequest

BEGIN, END = "<tool_call>", "</tool_call>"
NEW_ID = 24
"""Bytes of a call's name."""


@dataclass(frozen=True)
class Call:
    """A function's name, and its arguments as JSON."""

    name: str
    arguments: str
    id: str = field(default_factory=lambda: secrets.token_urlsafe(NEW_ID))


class Calls:
    """Takes calls apart from the rest of a text. What only looks like one stays text."""

    def __init__(self) -> None:
        self.count = 0
        self._held = ""

    def split(self, text: str, *, last: bool) -> tuple[str, tuple[Call, ...]]:
        """Content and calls of what was held back and `text`."""
        text, self._held = self._held + text, ""
        content, calls = "", []
        while BEGIN in text:
            before, _, rest = text.partition(BEGIN)
            inner, end, after = rest.partition(END)
            if not end and not last:
                break
            found = read(inner)
            content += before.rstrip() if found else before + BEGIN + inner + end
            calls += [found] if found else []
            text = after.lstrip() if found else after
        self.count += len(calls)
        if self.count:
            text = text.lstrip() if not content else text
        keep = 0 if last else held(text)
        self._held = text[len(text) - keep :]
        return content + text[: len(text) - keep], tuple(calls)


def held(text: str) -> int:
    """How many letters at the end of `text` may belong to a call, with the space before it.

    >>> held("see <tool"), held("see <tool_call>{}"), held("see  "), held("see")
    (6, 14, 2, 0)
    """
    at = text.find(BEGIN)
    if at < 0:
        at = next((len(text) - size for size in range(len(BEGIN) - 1, 0, -1) if text.endswith(BEGIN[:size])), len(text))
    return len(text) - len(text[:at].rstrip())


class _Form(msgspec.Struct):
    """`arguments` as the model wrote them."""

    name: str
    arguments: msgspec.Raw = msgspec.Raw(b"{}")


def read(text: str) -> Call | None:
    """The call that `text` is; None where it is none."""
    try:
        found = msgspec.json.decode(text, type=_Form)
        arguments = msgspec.json.decode(found.arguments)
    except (msgspec.MsgspecError, RecursionError, UnicodeError):
        return None
    if not isinstance(arguments, dict | str):
        return None
    return Call(found.name, arguments if isinstance(arguments, str) else bytes(found.arguments).decode())


def known(template: str) -> bool:
    """Whether a chat template has its tools in this form."""
    return BEGIN in template and "tools" in template


def required(tools: Sequence[dict[str, Any]]) -> str:
    """A grammar (llguidance's Lark) of an answer that is one call of one of `tools`. Raises InvalidRequest."""
    forms = [
        {
            "type": "object",
            "properties": {
                "name": {"const": tool["function"]["name"]},
                "arguments": tool["function"].get("parameters") or {"type": "object"},
            },
            "required": ["name", "arguments"],
            "additionalProperties": False,
        }
        for tool in tools
    ]
    if not forms:
        raise InvalidRequest(detail="tool_choice: there are no tools to choose from.")
    schema = json.dumps({"anyOf": forms}, ensure_ascii=False)
    return f'%llguidance {{}}\nstart: "{BEGIN}\\n" call "\\n{END}"\ncall: %json {schema}\n'
