"""Server-sent events out of an answer's bytes, for the few paths that must look into them.

Format: https://html.spec.whatwg.org/multipage/server-sent-events.html, only `data` fields; comments are dropped.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterable, AsyncIterator
from typing import Any

import msgspec

from penjing.errors import EngineError
from penjing.messages import Chunk

_ANY = msgspec.json.Decoder(msgspec.Raw)
DONE = b"[DONE]"
FIELD = b"data:"
FINISHED = re.compile(rb'"finish_reason": ?"')
EVENT_LIMIT = 8 << 20
LAST = b"data: [DONE]\n\n"


def fault(data: bytes) -> str:
    """What is wrong with whole events whose payloads should be JSON in UTF-8; "" where nothing is.

    >>> fault(b'data: {"a": 1}\\n\\ndata: [DONE]\\n\\n'), fault(b'data: {"a": \\n\\n')
    ('', 'an event that is not JSON (Input data was truncated)')
    """
    try:
        if not data.isascii():
            data.decode()
        if data.startswith(FIELD) and data.find(b"\n") == len(data) - 2:  # one event, as engines write it
            if data != LAST:
                _ANY.decode(data[len(FIELD) :])
            return ""
        for line in data.split(b"\n"):
            if line.startswith(FIELD):
                payload = line[len(FIELD) :]
                if payload.strip() != DONE:
                    _ANY.decode(payload)
    except UnicodeDecodeError:
        return "an event that is not UTF-8"
    except msgspec.MsgspecError as error:
        return f"an event that is not JSON ({error})"
    return ""


def sound(data: bytes) -> bytes:
    """The events of `data` before the first one with a fault."""
    end = 0
    for event in data.splitlines(keepends=True):
        if fault(event):
            break
        end += len(event)
    return data[: data.rfind(b"\n\n", 0, end) + 2] if end else b""


def required(body: bytes) -> bytes:
    """`body`, a whole answer. Raises EngineError where it is not JSON in UTF-8."""
    try:
        if not body.isascii():
            body.decode()
        _ANY.decode(body)
    except (UnicodeDecodeError, msgspec.MsgspecError) as error:
        raise EngineError(detail=f"it sent broken JSON ({error})") from None
    return body


async def payloads(chunks: AsyncIterable[Chunk]) -> AsyncIterator[bytes]:
    """The payload of each event but the last, `[DONE]`. Raises EngineError where the stream stops before its end."""
    held = b""
    over = False
    async for chunk in chunks:
        *lines, held = (held + chunk.body).split(b"\n")
        if len(held) > EVENT_LIMIT:
            raise EngineError(detail="it sent an event without an end")
        for line in lines:
            if line.startswith(FIELD):
                payload = line[len(FIELD) :].strip()
                over = over or payload == DONE or FINISHED.search(payload) is not None
                if payload != DONE:
                    yield payload
    if not over and held.strip() != b"data: [DONE]":
        raise EngineError(detail="its stream ended before the answer did")


def decoded(payload: bytes) -> dict[str, Any]:
    """An answer or event of the engine. Raises EngineError for one that is broken or says an error."""
    try:
        decoded = msgspec.json.decode(payload, type=dict[str, Any])
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise EngineError(detail=f"it sent broken JSON ({error})") from None
    if isinstance(decoded.get("error"), dict):
        raise EngineError(detail=str(decoded["error"].get("message", "it sent an error")))
    return decoded


def event(payload: bytes) -> Chunk:
    """`payload` as an event."""
    return Chunk(b"data: %b\n\n" % payload)
