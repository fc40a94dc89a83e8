"""Answers that do not come straight from one engine: made by policies, put together, or rewritten. In OpenAI's bytes.

Does not know: clients, their dialects.
"""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator
from secrets import token_hex

from penjing.errors import EngineError
from penjing.gateway import sse
from penjing.gateway.dialects.openai import convert
from penjing.messages import (
    Choice,
    Chunk,
    Completion,
    Delta,
    Event,
    Failure,
    Finish,
    FinishReason,
    Message,
    Text,
    ToolCall,
    ToolPiece,
    Usage,
)


class Broken(EngineError):
    """A `Failure` that a policy's events say. Facts: `detail`."""

    template = "{detail}"


async def streamed(events: AsyncIterable[Event], model: str) -> AsyncIterator[bytes]:
    """Each event as server-sent events; `[DONE]` is added where nobody sent it. Raises what the events say."""
    identity = f"chatcmpl-{token_hex(12)}"
    last = b""
    async for event in events:
        last = event.body if isinstance(event, Chunk) else convert.encode(_sound(event), model, identity)
        yield last
    if not last.endswith(sse.LAST):
        yield sse.LAST


async def gathered(events: AsyncIterable[Event], model: str) -> bytes:
    """All of it as one body. Raises what the events say."""
    bodies: list[bytes] = []
    made = Gathered()
    async for event in events:
        if isinstance(event, Chunk):
            bodies.append(event.body)
        else:
            made.add(_sound(event))
    return b"".join(bodies) if bodies else convert.whole(made.completion(model), f"chatcmpl-{token_hex(12)}")


def _sound(event: Delta | Finish | Usage | Failure) -> Delta | Finish | Usage:
    if isinstance(event, Failure):
        raise Broken(detail=event.message)
    return event


class Gathered:
    """Collects events into whole answers."""

    def __init__(self) -> None:
        self._texts: dict[int, list[str]] = {}
        self._reasoning: dict[int, list[str]] = {}
        self._calls: dict[int, dict[int, ToolPiece]] = {}
        self._reasons: dict[int, FinishReason] = {}
        self._usage: Usage | None = None

    def add(self, event: Delta | Finish | Usage) -> None:
        """Take one event."""
        if isinstance(event, Usage):
            self._usage = event
        elif isinstance(event, Finish):
            self._reasons[event.index] = event.reason
        else:
            self._texts.setdefault(event.index, []).append(event.text)
            self._reasoning.setdefault(event.index, []).append(event.reasoning)
            calls = self._calls.setdefault(event.index, {})
            for piece in event.tool_calls:
                calls[piece.index] = _grown(calls.get(piece.index), piece)

    def completion(self, model: str) -> Completion:
        """What was collected."""
        indices = sorted({*self._texts, *self._reasons})
        return Completion(model=model, choices=tuple(self._choice(index) for index in indices), usage=self._usage)

    def _choice(self, index: int) -> Choice:
        text = "".join(self._texts.get(index, ()))
        calls = sorted(self._calls.get(index, {}).items())
        message = Message(
            role="assistant",
            parts=(Text(text=text),) if text else (),
            reasoning="".join(self._reasoning.get(index, ())),
            tool_calls=tuple(ToolCall(id=call.id, name=call.name, arguments=call.arguments) for _, call in calls),
        )
        return Choice(message=message, index=index, reason=self._reasons.get(index, "stop"))


def _grown(before: ToolPiece | None, piece: ToolPiece) -> ToolPiece:
    if before is None:
        return piece
    return ToolPiece(
        index=piece.index,
        id=before.id or piece.id,
        name=before.name + piece.name,
        arguments=before.arguments + piece.arguments,
    )
