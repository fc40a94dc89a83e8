"""What Anthropic's answers are made of, whole and streamed alike."""

from __future__ import annotations

from secrets import token_hex
from typing import Any

import msgspec

from penjing.errors import EngineError, PenjingError
from penjing.messages import FinishReason, ToolCall, Usage

UNSIGNED = "unsigned"
"""In place of the signature of a thinking block, which only Anthropic's own models can give."""
REASONS: dict[FinishReason, str] = {
    "stop": "end_turn",
    "length": "max_tokens",
    "tool_calls": "tool_use",
    "content_filter": "refusal",
}
"""`stop_sequence` is not among them: most engines do not tell it from an end of the model's own."""
NOT_YET: dict[str, Any] = {"stop_reason": None, "stop_sequence": None}
KINDS = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    503: "overloaded_error",
    504: "timeout_error",
    529: "overloaded_error",
}
"""Types of errors by status: https://docs.anthropic.com/en/api/errors; `api_error` is what no other type says."""


def event(kind: str, **fields: object) -> bytes:
    """One server-sent event."""
    return b"event: %b\ndata: %b\n\n" % (kind.encode(), msgspec.json.encode({"type": kind, **fields}))


def message(model: str, content: list[dict[str, Any]], end: dict[str, Any], used: dict[str, int]) -> dict[str, Any]:
    """A message of the model's."""
    return {
        "id": f"msg_{token_hex(12)}",
        "type": "message",
        "role": "assistant",
        "model": model,
        "content": content,
        **end,
        "usage": used,
    }


def usage(counts: Usage | None) -> dict[str, int]:
    """Token counts; what came from the cache is not among `input_tokens`."""
    counts = counts or Usage(prompt_tokens=0, completion_tokens=0)
    return {
        "input_tokens": max(counts.prompt_tokens - counts.cached_tokens, 0),
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": counts.cached_tokens,
        "output_tokens": counts.completion_tokens,
    }


def end(reason: FinishReason, stop: str = "", *, called: bool = False) -> dict[str, Any]:
    """Why the model stopped; `stop` is the sequence that ended it. Some engines say `stop` where a tool was `called`.
    Raises EngineError where it did not stop but broke."""
    if reason not in REASONS:
        raise EngineError(detail="it ended the answer with an error")
    if reason == "stop" and called:
        reason = "tool_calls"
    if reason == "stop" and stop:
        return {"stop_reason": "stop_sequence", "stop_sequence": stop}
    return {"stop_reason": REASONS[reason], "stop_sequence": None}


def tool_use(call: ToolCall, input: object) -> dict[str, Any]:
    return {"type": "tool_use", "id": call.id or f"toolu_{token_hex(12)}", "name": call.name, "input": input}


def fault(error: PenjingError) -> dict[str, Any]:
    """An error as this dialect's clients read it. English: programs read it."""
    kind = KINDS.get(error.status, "api_error" if error.status >= 500 else "invalid_request_error")
    text = " ".join(filter(None, (error.message("en"), error.advice("en"))))
    said = {"type": kind, "message": text}
    return {"type": "error", "error": said, "request_id": f"req_{token_hex(12)}"}


def refusal(error: PenjingError) -> tuple[int, bytes]:
    """Status and body of an error."""
    return error.status, msgspec.json.encode(fault(error))
