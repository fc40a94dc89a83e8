"""Server-sent events out of an answer's bytes, for the few paths that must look into them.

Format: https://html.spec.whatwg.org/multipage/server-sent-events.html, only `data` fields; comments are dropped.
"""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator
from typing import Any

import msgspec

from penjing.errors import EngineError
from penjing.messages import Chunk

DONE = b"[DONE]"
FIELD = b"data:"
LAST = b"data: [DONE]\n\n"


async def payloads(chunks: AsyncIterable[Chunk]) -> AsyncIterator[bytes]:
    """The payload of each event but the last, `[DONE]`."""
    held = b""
    async for chunk in chunks:
        *lines, held = (held + chunk.body).split(b"\n")
        for line in lines:
            if line.startswith(FIELD):
                payload = line[len(FIELD) :].strip()
                if payload != DONE:
                    yield payload


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
