"""penjing's errors in OpenAI's shape, and an engine's error bodies as penjing's errors."""

from __future__ import annotations

import msgspec

from penjing.errors import (
    ContextOverflow,
    EngineBusy,
    EngineError,
    EngineLoading,
    InvalidRequest,
    PenjingError,
    Unsupported,
)

JSON = b"application/json"
OVERFLOW = ("exceed_context_size_error", "context_length_exceeded")


CLIENTS_FAULT = ("Failed to parse tool call arguments as JSON",)
"""Beginnings of messages that llama.cpp sends with status 500, though it is the request that cannot be used."""


class RemoteOverflow(ContextOverflow):
    """An engine that does not say how many tokens there were. Facts: `detail`."""

    template = "The prompt is too long for this model: {detail}"
    hint = "Shorten the conversation."


class _Said(msgspec.Struct):
    message: str = ""
    type: str | None = None
    code: int | str | None = None
    n_prompt_tokens: int = 0
    n_ctx: int = 0


class _Body(msgspec.Struct):
    error: _Said | str = ""
    message: str = ""


def error_body(error: PenjingError) -> bytes:
    """`{"error": {...}}` as OpenAI's SDKs read it. English: programs read it."""
    message = " ".join(filter(None, (error.message("en"), error.advice("en"))))
    said = {"message": message, "type": error.kind, "param": error.facts.get("param"), "code": error.code}
    return msgspec.json.encode({"error": said})


def error_event(error: PenjingError) -> bytes:
    """The last event of a stream that cannot go on."""
    return b"data: %b\n\n" % error_body(error)


def protocol_refusal(status: int, detail: str) -> tuple[bytes, bytes]:
    """Content type and body of an answer to a request that is not valid HTTP or is too large."""
    kind = "server_error" if status >= 500 else "invalid_request_error"
    said = {"message": detail, "type": kind, "param": None, "code": REFUSALS.get(status, "bad_request")}
    return JSON, msgspec.json.encode({"error": said})


REFUSALS = {408: "request_timeout", 413: "request_too_large", 431: "headers_too_large", 503: "overloaded"}


def engine_error(status: int, body: bytes, model: str) -> PenjingError:
    """What an engine said with an error status, as one of ours. Every engine's refusal passes through here."""
    try:
        decoded = msgspec.json.decode(body, type=_Body)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        decoded = _Body(message=body[:200].decode("utf-8", "replace"))
    said = decoded.error if isinstance(decoded.error, _Said) else _Said(message=decoded.error or decoded.message)
    if said.type in OVERFLOW or said.code in OVERFLOW:
        if said.n_ctx:
            return ContextOverflow(tokens=said.n_prompt_tokens, context=said.n_ctx, param="messages")
        return RemoteOverflow(detail=said.message, param="messages")
    if status == 503 and said.type == "unavailable_error":
        return EngineLoading(model=model, percent=0)
    if status == 429:
        return EngineBusy(model=model, seconds=1)
    if status == 501 or said.type == "not_supported_error":
        return Unsupported(feature=f"this ({said.message})", model=model, status=status)
    blamed = 400 <= status < 500 and status not in (401, 403)
    if blamed or said.message.startswith(CLIENTS_FAULT):
        return InvalidRequest(detail=said.message or f"the engine answered {status}", status=status)
    return EngineError(detail=said.message or f"it answered with status {status}")
