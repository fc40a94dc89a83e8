"""Wait for the beginning of an answer, so that it can still be asked for elsewhere.

Does not know: where else.
"""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator
from functools import partial
from typing import Any

import msgspec

from penjing.gateway.answer import Answer, leave
from penjing.gateway.ask import Ask, Call
from penjing.gateway.dialects.openai.errors import engine_error
from penjing.gateway.patience import Patience
from penjing.gateway.sse import FIELD
from penjing.messages import Event


class _Delta(msgspec.Struct):
    content: str | None = None
    reasoning_content: str | None = None
    tool_calls: Any = None


class _Choice(msgspec.Struct):
    delta: _Delta | None = None
    text: str | None = None
    finish_reason: str | None = None


class _Event(msgspec.Struct):
    choices: list[_Choice] = msgspec.field(default_factory=list)
    error: Any = None


DECODER = msgspec.json.Decoder(_Event)


def tells(model: str, data: bytes) -> bool:
    """Whether the beginning `data` of a stream says more than whose turn it is, which engines send before they have
    done anything. Raises EngineError where it says that something failed.

    >>> tells("m", b'data: {"choices":[{"index":0,"delta":{"role":"assistant","content":""}}]}\\n\\n')
    False
    """
    events = data.count(FIELD)
    if events != 1 or not data.endswith((b"\n\n", b"\r\n\r\n")):
        return events > 1
    payload = data[data.index(FIELD) + len(FIELD) :].strip()
    try:
        event = DECODER.decode(payload)
    except (msgspec.MsgspecError, UnicodeDecodeError):  # the client's to judge
        return True
    if event.error is not None:
        raise engine_error(500, payload, model)
    return any(
        choice.text or choice.finish_reason or (choice.delta is not None and any(msgspec.structs.astuple(choice.delta)))
        for choice in event.choices
    )


async def begun(ask: Ask, call_next: Call, seconds: float = 0.0) -> AsyncIterable[Event]:
    """What `call_next` answers, once its first bytes are here (all of it, where it is no stream). An engine's answer
    stays itself, so that its bytes still go from socket to socket. Raises TooSlow after `seconds` (0: never), and
    whatever ends the answer before its first byte."""
    with Patience(ask.target, seconds):
        events = await call_next(ask)
        try:
            if isinstance(events, Answer):
                await events.begun(partial(tells, ask.target))
                return events
            rest = aiter(events)
            try:
                head = await anext(rest)
            except StopAsyncIteration:
                return Opened(None, rest)
            return Opened(head, rest)
        except BaseException:
            await leave(events)
            raise


class Opened:
    """Events of which the first was taken to see it."""

    def __init__(self, head: Event | None, rest: AsyncIterator[Event]) -> None:
        self._head = head
        self._rest = rest

    async def __aiter__(self) -> AsyncIterator[Event]:
        if self._head is not None:
            yield self._head
        async for event in self._rest:
            yield event

    async def aclose(self) -> None:
        """Nobody wants the rest."""
        await leave(self._rest)
