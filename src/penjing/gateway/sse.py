"""Server-sent events out of an answer's bytes, for the few paths that must look into them.

Format: https://html.spec.whatwg.org/multipage/server-sent-events.html, only `data` fields; comments are dropped.
"""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator

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


def event(payload: bytes) -> Chunk:
    """`payload` as an event."""
    return Chunk(b"data: %b\n\n" % payload)
