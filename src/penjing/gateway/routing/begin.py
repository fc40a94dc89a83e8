"""Wait for the beginning of an answer, so that it can still be asked for elsewhere.

Does not know: where else.
"""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator

from penjing.gateway.answer import Answer, leave
from penjing.gateway.ask import Ask, Call
from penjing.gateway.patience import Patience
from penjing.messages import Event


async def begun(ask: Ask, call_next: Call, seconds: float = 0.0) -> AsyncIterable[Event]:
    """What `call_next` answers, once its first bytes are here (all of it, where it is no stream). An engine's answer
    stays itself, so that its bytes still go from socket to socket. Raises TooSlow after `seconds` (0: never), and
    whatever ends the answer before its first byte."""
    with Patience(ask.target, seconds):
        events = await call_next(ask)
        try:
            if isinstance(events, Answer):
                await events.begun()
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
