"""The old shape of log probabilities."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

from penjing.gateway.dialects.openai.logprobs import old_logprobs
from penjing.gateway.sse import LAST, event
from penjing.messages import Chunk


def token(text: str) -> dict[str, Any]:
    return {"id": 1, "token": text, "logprob": -0.5, "top_logprobs": [{"token": "x", "logprob": -0.1}]}


def body(*texts: str, index: int = 0) -> bytes:
    logprobs = {"content": [token(text) for text in texts]}
    return json.dumps({"choices": [{"index": index, "text": "".join(texts), "logprobs": logprobs}]}).encode()


async def chunks(*bodies: bytes) -> AsyncIterator[Chunk]:
    for each in bodies:
        yield Chunk(each)


async def collected(stream: bool, *bodies: bytes) -> bytes:
    return b"".join([chunk.body async for chunk in old_logprobs(chunks(*bodies), stream)])


async def test_a_whole_answer() -> None:
    said = json.loads(await collected(False, body("ab", "c")))
    assert said["choices"][0]["logprobs"] == {
        "tokens": ["ab", "c"],
        "token_logprobs": [-0.5, -0.5],
        "top_logprobs": [{"x": -0.1}, {"x": -0.1}],
        "text_offset": [0, 2],
    }


async def test_offsets_go_on_in_a_stream_for_each_choice() -> None:
    last = b'{"choices":[{"index":0,"text":"","logprobs":null,"finish_reason":"stop"}],"usage":null}'
    pieces = [body("ab"), body("xyz", index=1), body("c"), body("d", index=1), last]
    said = await collected(True, *(event(each).body for each in pieces), LAST)
    events = [json.loads(line[6:]) for line in said.split(b"\n") if line.startswith(b"data: {")]
    offsets = [each["choices"][0]["logprobs"]["text_offset"] for each in events[:-1]]
    assert offsets == [[0], [0], [2], [3]]
    assert events[-1] == json.loads(last)
    assert said.endswith(LAST)
