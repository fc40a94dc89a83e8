"""A chat body whose messages are being changed: which are left, what its system message says. Untouched messages stay
byte for byte.

Does not know: why.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from penjing.gateway.ask import Ask
from penjing.gateway.conversation.turns import ALWAYS, Turns, turns
from penjing.gateway.dialects.openai import wire
from penjing.gateway.dialects.openai.rewrite import replaced

Messages = Sequence[object]


class _Raw(msgspec.Struct):
    messages: list[msgspec.Raw]


_MESSAGES = msgspec.json.Decoder(_Raw)
_MESSAGE = msgspec.json.Decoder(dict[str, msgspec.Raw])


class Edit:
    """The conversation of `ask`, which must be a chat."""

    def __init__(self, ask: Ask, body: wire.ChatBody) -> None:
        self._ask = ask
        self.said = body.messages
        self.raw = _MESSAGES.decode(ask.body).messages
        self.turns: Turns = turns(body.messages)

    def kept(self, dropped: int, note: str = "") -> list[object]:
        """The messages without the oldest `dropped` units; `note` is added to what the system says."""
        left: list[object] = [self.raw[place] for place in self.turns.without(dropped)]
        return with_system(left, note, self._system_at(dropped)) if note else left

    def _system_at(self, dropped: int) -> int | None:
        places = self.turns.without(dropped)
        return next((at for at, place in enumerate(places) if self.said[place].role in ALWAYS), None)

    def body(self, messages: Messages) -> bytes:
        """The whole body with other messages."""
        return replaced(self._ask.body, {"messages": messages})

    def apply(self, messages: Messages) -> None:
        """From now on these are the messages."""
        self._ask.change(messages=messages)


def with_system(messages: list[object], text: str, at: int | None) -> list[object]:
    """`messages` with `text` added to the system message at place `at`; where there is none, a new one in front.
    Templates take one system message, at the beginning."""
    if at is None:
        return [{"role": "system", "content": text}, *messages]
    message = _MESSAGE.decode(messages[at])  # type: ignore[arg-type]  # what the system says is always raw
    content = msgspec.json.decode(message["content"])
    if isinstance(content, list):
        content = [*content, {"type": "text", "text": "\n\n" + text}]
    else:
        content = f"{content}\n\n{text}" if content else text
    return [*messages[:at], {**message, "content": content}, *messages[at + 1 :]]
