"""Between OpenAI's bodies and the internal form.

`request` is for policies that look into a conversation; the bytes that go to an OpenAI-speaking engine do not come
from it. `encode` writes events that did not come from such an engine.
"""

from __future__ import annotations

import base64
import binascii
import re
import time
from typing import Any

import msgspec

from penjing.errors import InvalidRequest
from penjing.gateway.dialects.openai import wire
from penjing.gateway.dialects.openai.body import message
from penjing.messages import (
    Audio,
    Completion,
    Delta,
    Finish,
    Image,
    Message,
    Part,
    Request,
    Role,
    Sampling,
    Text,
    Tool,
    ToolCall,
    ToolPiece,
    Usage,
    Wire,
)

DATA_URL = re.compile(r"data:([^;,]*)(;base64)?,(.*)", re.DOTALL)
SAMPLING = ("temperature", "top_p", "top_k", "seed", "presence_penalty", "frequency_penalty")
ELSEWHERE = {
    *SAMPLING,
    *("model", "stream", "stream_options", "n", "stop", "max_tokens", "max_completion_tokens", "n_predict"),
    *("logprobs", "top_logprobs", "logit_bias", "messages", "prompt", "tools", "tool_choice", "parallel_tool_calls"),
    *("response_format", "enable_thinking", "return_reasoning", "reasoning_effort", "user"),
}


def request(parsed: wire.ChatBody | wire.CompletionBody, body: bytes) -> Request:
    """`parsed` in the internal form, `body` kept beside it. Raises InvalidRequest on broken base64."""
    common: dict[str, Any] = {
        "model": parsed.model,
        "sampling": _sampling(parsed),
        "choices": parsed.n or 1,
        "stream": bool(parsed.stream),
        "include_usage": bool(parsed.stream_options and parsed.stream_options.include_usage),
        "user": parsed.user or "",
        "wire": Wire(dialect="openai", body=body),
    }
    if isinstance(parsed, wire.CompletionBody):
        prompt = parsed.prompt if isinstance(parsed.prompt, str) else None
        return Request(prompt=prompt, **common)
    return Request(
        messages=tuple(_message(message) for message in parsed.messages),
        tools=tuple(_tool(tool) for tool in parsed.tools or ()),
        tool_choice=_choice(parsed),
        parallel_tool_calls=parsed.parallel_tool_calls,
        schema=_schema(parsed),
        thinking=_thinking(parsed),
        return_reasoning=parsed.return_reasoning,
        **common,
    )


def _message(message: wire.ChatMessage) -> Message:
    content = message.content
    parts: tuple[Part, ...] = ()
    if isinstance(content, str):
        parts = (Text(text=content),) if content else ()
    elif content:
        parts = tuple(_part(part) for part in content)
    role: Role = "system" if message.role == "developer" else message.role
    calls = tuple(
        ToolCall(id=call.id, name=call.function.name, arguments=call.function.arguments)
        for call in message.tool_calls or ()
    )
    return Message(
        role=role,
        parts=parts,
        reasoning=message.reasoning_content or "",
        tool_calls=calls,
        tool_call_id=message.tool_call_id or "",
        name=message.name or "",
    )


def _part(part: wire.Part) -> Part:
    if isinstance(part, wire.TextPart):
        return Text(text=part.text)
    if isinstance(part, wire.ImagePart):
        return image(part.image_url.url, part.image_url.detail)
    if isinstance(part, wire.AudioPart):
        return Audio(data=decoded(part.input_audio.data), format=part.input_audio.format)
    if isinstance(part, wire.RefusalPart):
        return Text(text=part.refusal)
    raise InvalidRequest(detail="Files cannot be part of a message here.")


def image(url: str, detail: str | None) -> Image:
    """What `url` names, or holds where it is a data URL. Raises InvalidRequest on broken base64."""
    match = DATA_URL.fullmatch(url)
    if match and match[2]:
        return Image(data=decoded(match[3]), media_type=match[1], detail=detail or "")
    return Image(url=url, detail=detail or "")


def decoded(text: str, param: str | None = None) -> bytes:
    """The bytes that base64 `text` stands for, at the place `param`. Raises InvalidRequest."""
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise InvalidRequest(detail=f"The base64 data cannot be read: {error}", param=param) from None


def _tool(tool: wire.Tool) -> Tool:
    function = tool.function
    return Tool(
        name=function.name,
        description=function.description or "",
        parameters=function.parameters or {},
        strict=bool(function.strict),
    )


def _choice(parsed: wire.ChatBody) -> str:
    choice = parsed.tool_choice
    return choice.function.name if isinstance(choice, wire.NamedTool) else choice or "auto"


def _schema(parsed: wire.ChatBody) -> dict[str, object] | None:
    form = parsed.response_format
    if isinstance(form, wire.ObjectFormat):
        return form.schema or {}
    if isinstance(form, wire.SchemaFormat):
        return form.json_schema.schema
    return None


def _thinking(parsed: wire.ChatBody) -> bool | None:
    if parsed.enable_thinking is None and parsed.reasoning_effort is not None:
        return parsed.reasoning_effort != "none"
    return parsed.enable_thinking


def _sampling(parsed: wire.ChatBody | wire.CompletionBody) -> Sampling:
    stop = parsed.stop
    limits = (getattr(parsed, "max_completion_tokens", None), parsed.max_tokens, parsed.n_predict)
    bias = parsed.logit_bias if isinstance(parsed.logit_bias, dict) else dict(parsed.logit_bias or ())
    extra = {name: getattr(parsed, name) for name in wire.names(type(parsed)) if name not in ELSEWHERE}
    return Sampling(
        **{name: getattr(parsed, name) for name in SAMPLING},
        max_tokens=next((limit for limit in limits if limit is not None), None),
        stop=(stop,) if isinstance(stop, str) else tuple(stop or ()),
        logprobs=_logprobs(parsed),
        logit_bias={str(token): _bias(value) for token, value in bias.items()},
        extra={name: value for name, value in extra.items() if value is not None},
    )


def _bias(value: float | bool) -> float:
    return float("-inf") if value is False else float(value)


def _logprobs(parsed: wire.ChatBody | wire.CompletionBody) -> int | None:
    if isinstance(parsed, wire.CompletionBody):
        return parsed.logprobs
    return (parsed.top_logprobs or 0) if parsed.logprobs else None


def encode(event: Delta | Finish | Usage, model: str, identity: str) -> bytes:
    """One server-sent event of a chat completion."""
    choices: list[dict[str, object]] = []
    extra: dict[str, object] = {}
    if isinstance(event, Usage):
        extra["usage"] = usage(event)
    else:
        told = _finished(event) if isinstance(event, Finish) else {"delta": _delta(event), "finish_reason": None}
        choices.append({"index": event.index, **told})
    said = {
        "id": identity,
        "object": "chat.completion.chunk",
        "created": int(time.time()),
        "model": model,
        "choices": choices,
        **extra,
    }
    return sse(said)


def _finished(event: Finish) -> dict[str, object]:
    stop = {"stop_reason": event.stop} if event.stop else {}
    return {"delta": {}, "finish_reason": event.reason, **stop}


def sse(said: object) -> bytes:
    """`said` as one server-sent event."""
    return b"data: %b\n\n" % msgspec.json.encode(said)


def usage(event: Usage) -> dict[str, object]:
    return {
        "prompt_tokens": event.prompt_tokens,
        "completion_tokens": event.completion_tokens,
        "total_tokens": event.prompt_tokens + event.completion_tokens,
        "prompt_tokens_details": {"cached_tokens": event.cached_tokens},
    }


def _delta(event: Delta) -> dict[str, object]:
    delta: dict[str, object] = {"role": "assistant"}
    if event.text:
        delta["content"] = event.text
    if event.reasoning:
        delta["reasoning_content"] = event.reasoning
    if event.tool_calls:
        delta["tool_calls"] = [_piece(piece) for piece in event.tool_calls]
    return delta


def _piece(piece: ToolPiece) -> dict[str, object]:
    function = {"name": piece.name} if piece.name else {}
    said: dict[str, object] = {"index": piece.index, "function": {**function, "arguments": piece.arguments}}
    return {**said, "id": piece.id, "type": "function"} if piece.id else said


def whole(completion: Completion, identity: str) -> bytes:
    """A whole chat completion."""
    choices = [
        {
            "index": choice.index,
            "message": message(choice.message),
            "finish_reason": choice.reason,
            **({"stop_reason": choice.stop} if choice.stop else {}),
        }
        for choice in completion.choices
    ]
    said: dict[str, object] = {
        "id": identity,
        "object": "chat.completion",
        "created": int(time.time()),
        "model": completion.model,
        "choices": choices,
    }
    if completion.usage is not None:
        said["usage"] = usage(completion.usage)
    return msgspec.json.encode(said)
