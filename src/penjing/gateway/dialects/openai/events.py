"""OpenAI's answers as internal events: for other dialects, and for policies that look into answers."""

from __future__ import annotations

from typing import Literal, cast, get_args

import msgspec
from msgspec import Struct

from penjing.errors import EngineError
from penjing.messages import (
    Choice,
    Completion,
    Delta,
    Finish,
    FinishReason,
    Message,
    Text,
    ToolCall,
    ToolPiece,
    Usage,
)

REASONS = frozenset(get_args(FinishReason))


class _Function(Struct):
    name: str | None = None
    arguments: str | None = None


class _Call(Struct):
    index: int = 0
    id: str | None = None
    function: _Function = msgspec.field(default_factory=_Function)


class _Message(Struct):
    content: str | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    tool_calls: list[_Call] | None = None


class _Choice(Struct):
    index: int = 0
    text: str | None = None
    delta: _Message | None = None
    message: _Message | None = None
    finish_reason: str | None = None
    stop_reason: str | int | None = None
    """vLLM's: the stop sequence, or the token, that ended the answer."""


class _Details(Struct):
    cached_tokens: int | None = None


class _Usage(Struct):
    prompt_tokens: int = 0
    completion_tokens: int | None = 0
    prompt_tokens_details: _Details | None = None


class _Error(Struct):
    message: str = "it sent an error"


class _Answer(Struct):
    model: str = ""
    choices: list[_Choice] = []
    usage: _Usage | None = None
    error: _Error | str | None = None


_DECODER = msgspec.json.Decoder(_Answer)


def decoded(payload: bytes) -> tuple[Delta | Finish | Usage, ...]:
    """The events in the payload of one server-sent event. Raises EngineError for one that is broken or an error."""
    said = _decode(payload)
    found: list[Delta | Finish | Usage] = []
    for choice in said.choices:
        delta = _delta(choice)
        if delta is not None:
            found.append(delta)
        if choice.finish_reason:
            found.append(Finish(index=choice.index, reason=_reason(choice.finish_reason), stop=_stop(choice)))
    if said.usage is not None:
        found.append(_usage(said.usage))
    return tuple(found)


def completion(body: bytes) -> Completion:
    """A whole answer. Raises EngineError for one that is broken or an error."""
    said = _decode(body)
    return Completion(
        model=said.model,
        choices=tuple(_whole(choice) for choice in said.choices),
        usage=None if said.usage is None else _usage(said.usage),
    )


def _decode(payload: bytes) -> _Answer:
    try:
        said = _DECODER.decode(payload)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise EngineError(detail=f"it sent broken JSON ({error})") from None
    if said.error:
        raise EngineError(detail=said.error if isinstance(said.error, str) else said.error.message)
    return said


def _delta(choice: _Choice) -> Delta | None:
    said = choice.delta or _Message(content=choice.text)
    calls = tuple(
        ToolPiece(
            index=call.index, id=call.id or "", name=call.function.name or "", arguments=call.function.arguments or ""
        )
        for call in said.tool_calls or ()
    )
    text, reasoning = said.content or "", said.reasoning_content or said.reasoning or ""
    if not (text or reasoning or calls):
        return None
    return Delta(index=choice.index, text=text, reasoning=reasoning, tool_calls=calls)


def _whole(choice: _Choice) -> Choice:
    said = choice.message or _Message(content=choice.text)
    calls = tuple(
        ToolCall(id=call.id or "", name=call.function.name or "", arguments=call.function.arguments or "")
        for call in said.tool_calls or ()
    )
    message = Message(
        role="assistant",
        parts=(Text(text=said.content),) if said.content else (),
        reasoning=said.reasoning_content or said.reasoning or "",
        tool_calls=calls,
    )
    return Choice(
        message=message, index=choice.index, reason=_reason(choice.finish_reason or "stop"), stop=_stop(choice)
    )


def _stop(choice: _Choice) -> str:
    return choice.stop_reason if isinstance(choice.stop_reason, str) else ""


def _reason(said: str) -> FinishReason:
    if said == "function_call":  # the older name
        return "tool_calls"
    return cast(Literal["stop"], said) if said in REASONS else "stop"


def _usage(said: _Usage) -> Usage:
    cached = said.prompt_tokens_details.cached_tokens if said.prompt_tokens_details else 0
    return Usage(
        prompt_tokens=said.prompt_tokens, completion_tokens=said.completion_tokens or 0, cached_tokens=cached or 0
    )
