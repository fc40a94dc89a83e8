"""Answers that policies make, in both forms."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penjing.gateway import made, sse
from penjing.gateway.dialects.openai import events
from penjing.messages import Chunk, Delta, Event, Failure, Finish, Message, Text, ToolCall, ToolPiece, Usage


async def each(*events: Event) -> AsyncIterator[Event]:
    for event in events:
        yield event


async def test_a_stream_ends_with_done_once() -> None:
    told = [data async for data in made.streamed(each(Delta(text="a"), Finish()), "m")]
    assert told[-1] == sse.LAST
    told = [data async for data in made.streamed(each(Delta(text="a"), Chunk(sse.LAST)), "m")]
    assert told.count(sse.LAST) == 1


async def test_the_same_events_are_one_body() -> None:
    call = (
        ToolPiece(index=0, id="c", name="look"),
        ToolPiece(index=1, id="d", name="go", arguments="{}"),
        ToolPiece(index=0, arguments='{"at"'),
        ToolPiece(index=0, arguments=": 1}"),
    )
    said = [Delta(text="so "), Delta(reasoning="hm"), *(Delta(tool_calls=(piece,)) for piece in call), Delta(text="be")]
    body = await made.gathered(each(*said, Finish(reason="tool_calls"), Usage(3, 4)), "m")
    found = events.completion(body)
    assert found.usage == Usage(3, 4)
    (choice,) = found.choices
    assert choice.reason == "tool_calls"
    assert choice.message == Message(
        role="assistant",
        parts=(Text(text="so be"),),
        reasoning="hm",
        tool_calls=(ToolCall("c", "look", '{"at": 1}'), ToolCall("d", "go", "{}")),
    )


async def test_bytes_of_an_engine_stay_as_they_are() -> None:
    assert await made.gathered(each(Chunk(b'{"a"'), Chunk(b": 1}")), "m") == b'{"a": 1}'


async def test_a_failure_is_raised() -> None:
    failure = Failure("c", "k", 500, "it failed")
    with pytest.raises(made.Broken, match="it failed"):
        await made.gathered(each(Delta(text="a"), failure), "m")
    with pytest.raises(made.Broken):
        [data async for data in made.streamed(each(failure), "m")]


@given(st.lists(st.text(st.characters(codec="utf-8"), min_size=1, max_size=9), min_size=1, max_size=9))
async def test_streamed_and_whole_say_the_same(texts: list[str]) -> None:
    said: list[Any] = [*(Delta(text=text) for text in texts), Finish()]
    whole = events.completion(await made.gathered(each(*said), "m"))
    told = b"".join([data async for data in made.streamed(each(*said), "m")])
    payloads = [json.loads(line[6:]) for line in told.decode().split("\n") if line.startswith("data: {")]
    deltas = [choice["delta"].get("content", "") for event in payloads for choice in event["choices"]]
    assert whole.choices[0].message.text == "".join(texts) == "".join(deltas)
