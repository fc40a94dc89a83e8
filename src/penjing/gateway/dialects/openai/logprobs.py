"""Log probabilities of /v1/completions in the shape of OpenAI's old API: lists side by side, one entry a token.

llama.cpp answers with the newer shape of chat there; clients of this endpoint read `tokens` and `token_logprobs`.
"""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator
from typing import Any

import msgspec

from penjing.gateway import sse
from penjing.gateway.answer import leave
from penjing.messages import Chunk


async def old_logprobs(answer: AsyncIterable[Chunk], stream: bool) -> AsyncIterator[Chunk]:
    """`answer` with the `logprobs` of every choice in the old shape."""
    offsets: dict[int, int] = {}
    try:
        if not stream:
            yield Chunk(_rewritten(b"".join([chunk.body async for chunk in answer]), offsets))
            return
        async for payload in sse.payloads(answer):
            yield sse.event(_rewritten(payload, offsets))
        yield Chunk(sse.LAST)
    finally:
        await leave(answer)


def _rewritten(body: bytes, offsets: dict[int, int]) -> bytes:
    decoded = sse.decoded(body)
    for choice in decoded.get("choices") or ():
        tokens = (choice.get("logprobs") or {}).get("content")
        if tokens is not None:
            index = choice.get("index", 0)
            choice["logprobs"] = _side_by_side(tokens, offsets.get(index, 0))
            offsets[index] = offsets.get(index, 0) + sum(len(token["token"]) for token in tokens)
    return msgspec.json.encode(decoded)


def _side_by_side(tokens: list[dict[str, Any]], start: int) -> dict[str, list[Any]]:
    offsets = []
    for token in tokens:
        offsets.append(start)
        start += len(token["token"])
    return {
        "tokens": [token["token"] for token in tokens],
        "token_logprobs": [token["logprob"] for token in tokens],
        "top_logprobs": [{top["token"]: top["logprob"] for top in token["top_logprobs"]} for token in tokens],
        "text_offset": offsets,
    }
