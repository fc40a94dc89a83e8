"""Reasoning left out where asked."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

from penjing.gateway.dialects.openai.reasoning import left_out
from penjing.gateway.sse import LAST, event
from penjing.messages import Chunk


async def chunks(*bodies: bytes) -> AsyncIterator[Chunk]:
    for body in bodies:
        yield Chunk(body)


def delta(finish: str | None = None, **fields: Any) -> bytes:
    return event(json.dumps({"choices": [{"index": 0, "delta": fields, "finish_reason": finish}]}).encode()).body


async def collected(stream: bool, *bodies: bytes) -> bytes:
    return b"".join([chunk.body async for chunk in left_out(chunks(*bodies), stream)])


async def test_a_whole_answer() -> None:
    body = json.dumps({"choices": [{"message": {"content": "a", "reasoning_content": "why"}}]}).encode()
    assert json.loads(await collected(False, body[:20], body[20:])) == {"choices": [{"message": {"content": "a"}}]}


async def test_an_answer_without_reasoning_is_untouched() -> None:
    body = b'{ "choices": [ {"message": {"content": "<think>a</think>"}} ] }'
    assert await collected(False, body) == body


async def test_a_stream() -> None:
    kept = delta(content="<think>stays</think>")
    said = await collected(
        True,
        delta(role="assistant", content=None),
        delta(reasoning_content="why"),
        delta(reasoning_content="x", content="both")[:30],
        delta(reasoning_content="x", content="both")[30:],
        kept,
        delta(finish="stop", reasoning_content="y"),
        LAST,
    )
    assert b"reasoning" not in said
    assert kept in said
    assert said.endswith(LAST)
    events = [json.loads(line[6:]) for line in said.split(b"\n") if line.startswith(b"data: {")]
    assert [each["choices"][0]["delta"] for each in events] == [
        {"role": "assistant", "content": None},
        {"content": "both"},
        {"content": "<think>stays</think>"},
        {},
    ]
    assert events[-1]["choices"][0]["finish_reason"] == "stop"
