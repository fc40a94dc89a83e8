"""Answers without their reasoning, for `return_reasoning: false`: the engine sets it apart, here it is left out."""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator

import msgspec

from penjing.gateway import sse
from penjing.gateway.answer import leave
from penjing.messages import Chunk

FIELD = "reasoning_content"
MARK = b'"reasoning_content"'


async def left_out(answer: AsyncIterable[Chunk], stream: bool) -> AsyncIterator[Chunk]:
    """`answer` without reasoning; events that held nothing else are dropped."""
    try:
        if not stream:
            whole = b"".join([chunk.body async for chunk in answer])
            yield Chunk(_without(whole, "message")[0] if MARK in whole else whole)
            return
        async for payload in sse.payloads(answer):
            if MARK in payload:
                payload, empty = _without(payload, "delta")
                if empty:
                    continue
            yield sse.event(payload)
        yield Chunk(sse.LAST)
    finally:
        await leave(answer)


def _without(body: bytes, part: str) -> tuple[bytes, bool]:
    """`body` without reasoning in the `part` of its choices, and whether nothing is left in them."""
    decoded = sse.decoded(body)
    choices = decoded.get("choices") or []
    for choice in choices:
        (choice.get(part) or {}).pop(FIELD, None)
    empty = bool(choices) and not any(choice.get(part) or choice.get("finish_reason") for choice in choices)
    return msgspec.json.encode(decoded), empty
