"""What answers of the Responses API are made of, whole and streamed alike."""

from __future__ import annotations

import time
from secrets import token_hex
from typing import Any

import msgspec

from penjing.errors import EngineError
from penjing.gateway.dialects.responses import wire
from penjing.messages import FinishReason, Usage

WHY: dict[FinishReason, str] = {"length": "max_output_tokens", "content_filter": "content_filter"}
"""Reasons for which an answer is incomplete."""


def new(prefix: str) -> str:
    """An id that nobody guesses."""
    return f"{prefix}_{token_hex(16)}"


def message(id: str, text: str, status: str) -> dict[str, Any]:
    return {"id": id, "type": "message", "role": "assistant", "status": status, "content": [text_part(text)]}


def text_part(text: str) -> dict[str, Any]:
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}


def reasoning(id: str, text: str, status: str, *, summed: bool) -> dict[str, Any]:
    """Thoughts; in place of their summary where one was asked for."""
    item: dict[str, Any] = {"id": id, "type": "reasoning", "status": status, "summary": []}
    if summed:
        return item | {"summary": [{"type": "summary_text", "text": text}]}
    return item | {"content": [{"type": "reasoning_text", "text": text}]}


def call(id: str, call_id: str, name: str, arguments: str, status: str) -> dict[str, Any]:
    return {
        "id": id,
        "type": "function_call",
        "call_id": call_id,
        "name": name,
        "arguments": arguments,
        "status": status,
    }


def sound(reason: FinishReason) -> FinishReason:
    """`reason`. Raises EngineError where the engine did not stop but broke."""
    if reason == "error":
        raise EngineError(detail="it ended the answer with an error")
    return reason


def usage(counts: Usage | None) -> dict[str, Any] | None:
    """Token counts. Engines do not tell thoughts from the rest, so `reasoning_tokens` is not known: 0."""
    if counts is None:
        return None
    return {
        "input_tokens": counts.prompt_tokens,
        "input_tokens_details": {"cached_tokens": counts.cached_tokens, "cache_write_tokens": 0},
        "output_tokens": counts.completion_tokens,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": counts.prompt_tokens + counts.completion_tokens,
    }


class Echo(msgspec.Struct):
    """What an answer repeats of its question, as it was written: it may be nested as deeply as could be read."""

    text: msgspec.Raw = msgspec.Raw()
    tool_choice: msgspec.Raw = msgspec.Raw()
    tools: msgspec.Raw = msgspec.Raw()

    def or_else(self, name: str, default: object) -> object:
        """A field as it was written, `default` where it was not, or is null."""
        raw: msgspec.Raw = getattr(self, name)
        return default if bytes(raw) in (b"", b"null") else raw


def response(body: wire.ResponsesBody, echo: Echo, model: str) -> dict[str, Any]:
    """The frame of an answer that has just begun: what was asked, as it was understood."""
    return {
        "id": new("resp"),
        "object": "response",
        "created_at": int(time.time()),
        "status": "in_progress",
        "background": False,
        "error": None,
        "incomplete_details": None,
        "instructions": body.instructions,
        "max_output_tokens": body.max_output_tokens,
        "metadata": body.metadata or {},
        "model": model,
        "output": [],
        "parallel_tool_calls": body.parallel_tool_calls is not False,
        "previous_response_id": body.previous_response_id,
        "reasoning": {"effort": _of(body, "effort"), "summary": _of(body, "summary")},
        "service_tier": body.service_tier or "auto",
        "store": body.store is not False,
        "temperature": body.temperature,
        "text": echo.or_else("text", {"format": {"type": "text"}}),
        "tool_choice": echo.or_else("tool_choice", "auto"),
        "tools": echo.or_else("tools", []),
        "top_p": body.top_p,
        "truncation": "disabled",
        "usage": None,
        "user": body.user,
    }


def summed(body: wire.ResponsesBody) -> bool:
    """Whether a summary of the thoughts was asked for."""
    return bool(_of(body, "summary") or _of(body, "generate_summary"))


def _of(body: wire.ResponsesBody, name: str) -> str | None:
    said: str | None = getattr(body.reasoning, name, None)
    return said
