"""A kept answer given again: whole as it was kept, or as a stream of the same words. And a stream as what is kept.

Does not know: where answers are kept.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from secrets import token_hex
from typing import Any

import msgspec

from penjing.gateway import sse
from penjing.gateway.answer import Answer
from penjing.gateway.whole import Pieces

PIECE = 24
"""Characters of a replayed event: about what a person sees arrive at once."""
DONE = ("stop", "length", "tool_calls")
_DECODER = msgspec.json.Decoder(dict[str, Any])


def kept(seen: bytes, stream: bool) -> bytes | None:
    """What is kept of an answer as it left: its JSON, if it is whole and sound."""
    try:
        said = _joined(seen) if stream else _DECODER.decode(seen)
    except (msgspec.MsgspecError, UnicodeDecodeError, KeyError, TypeError, AttributeError):
        return None
    said.pop("timings", None)
    if "data" in said:  # embeddings
        return msgspec.json.encode(said)
    choices = said.get("choices") or [{}]
    return msgspec.json.encode(said) if choices[0].get("finish_reason") in DONE else None


def _joined(seen: bytes) -> dict[str, Any]:
    pieces = Pieces()
    for line in seen.split(b"\n"):
        payload = line.removeprefix(sse.FIELD).strip() if line.startswith(sse.FIELD) else b""
        if payload and payload != sse.DONE:
            pieces.add(_DECODER.decode(payload))
    return pieces.together()


def whole(body: bytes) -> Answer:
    """It, with an id and a time of its own."""
    said = _DECODER.decode(body)
    return Answer.of(msgspec.json.encode(_renewed(said)))


def streamed(body: bytes, usage: bool) -> Answer:
    """It, as the events of a stream; `usage` with the counts at its end."""
    said = _renewed(_DECODER.decode(body))
    events = b"".join(b"data: %b\n\n" % msgspec.json.encode(event) for event in _events(said, usage))
    return Answer.of(events + sse.LAST, b"text/event-stream")


def _renewed(said: dict[str, Any]) -> dict[str, Any]:
    if "id" not in said:
        return said
    prefix = str(said["id"]).partition("-")[0]
    return {**said, "id": f"{prefix}-{token_hex(12)}", "created": int(time.time())}


def _events(said: dict[str, Any], usage: bool) -> Iterator[dict[str, Any]]:
    chat = said.get("object") == "chat.completion"
    head: dict[str, Any] = {key: said[key] for key in ("id", "created", "model", "system_fingerprint") if key in said}
    head["object"] = "chat.completion.chunk" if chat else said.get("object")
    (choice,) = said["choices"]
    for piece in _chat(choice["message"]) if chat else _text(choice["text"]):
        yield {**head, "choices": [{"index": 0, **piece, "finish_reason": None}]}
    last: dict[str, Any] = {"delta": {}} if chat else {"text": ""}
    yield {**head, "choices": [{"index": 0, **last, "finish_reason": choice["finish_reason"]}]}
    if usage and said.get("usage"):
        yield {**head, "choices": [], "usage": said["usage"]}


def _chat(message: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield {"delta": {"role": "assistant", "content": None}}
    for field in ("reasoning_content", "content"):
        for piece in _pieces(message.get(field) or ""):
            yield {"delta": {field: piece}}
    for index, call in enumerate(message.get("tool_calls") or ()):
        yield {"delta": {"tool_calls": [{"index": index, **call}]}}


def _text(text: str) -> Iterator[dict[str, Any]]:
    return ({"text": piece} for piece in _pieces(text))


def _pieces(text: str) -> Iterator[str]:
    return (text[at : at + PIECE] for at in range(0, len(text), PIECE))
