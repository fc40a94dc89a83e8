"""Kept in one form, given again in either."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penjing.gateway.cache import replay
from penjing.gateway.dialects.openai import convert, events
from penjing.messages import Choice, Completion, Delta, Finish, Message, Text, ToolCall, ToolPiece, Usage

words = st.text(st.characters(codec="utf-8"), max_size=80)
names = st.text(st.characters(codec="utf-8"), min_size=1, max_size=9)
answers = st.builds(
    Message,
    role=st.just("assistant"),
    parts=words.map(lambda text: (Text(text=text),) if text else ()),
    reasoning=words,
    tool_calls=st.lists(st.builds(ToolCall, id=names, name=names, arguments=words), max_size=2).map(tuple),
)


@given(answers, st.sampled_from(("stop", "length", "tool_calls")), st.booleans())
async def test_a_stream_says_what_was_kept(message: Message, reason: Any, usage: bool) -> None:
    made = Completion(model="m", choices=(Choice(message=message, reason=reason),), usage=Usage(3, 4, 1))
    body = replay.kept(convert.whole(made, "chatcmpl-1"), stream=False)
    assert body is not None
    seen = await replay.streamed(body, usage=True).read()
    assert events.completion(replay.kept(seen, stream=True) or b"") == made
    assert (b'"usage"' in await replay.streamed(body, usage).read()) is usage
    again = events.completion(await replay.whole(body).read())
    assert again == made


async def test_it_has_an_id_of_its_own() -> None:
    made = Completion(model="m", choices=(Choice(message=Message(role="assistant")),))
    body = convert.whole(made, "chatcmpl-1")
    first, second = [json.loads(await replay.whole(body).read()) for _ in range(2)]
    assert first["id"] != second["id"]
    assert first["id"].startswith("chatcmpl-")


async def test_bare_completions_and_embeddings() -> None:
    said = {
        "id": "cmpl-1",
        "object": "text_completion",
        "choices": [{"index": 0, "text": "ab", "finish_reason": "stop"}],
    }
    seen = await replay.streamed(json.dumps(said).encode(), usage=False).read()
    assert events.decoded(seen.split(b"\n\n")[0].removeprefix(b"data: ")) == (Delta(text="ab"),)
    assert seen.endswith(b"data: [DONE]\n\n")
    vectors = b'{"object":"list","data":[{"index":0,"embedding":[1.0]}]}'
    assert json.loads(await replay.whole(vectors).read()) == json.loads(vectors)
    assert replay.kept(vectors, stream=False) is not None


def half(*said: Delta | Finish) -> bytes:
    return b"".join(convert.encode(event, "m", "i") for event in said)


@pytest.mark.parametrize(
    "seen",
    [
        b"",
        half(Delta(text="never finished")),
        half(Delta(text="a"), Finish(reason="error")),
        b'data: {"choices": [',
        b"data: 3\n\n",
        half(Delta(tool_calls=(ToolPiece(index=0, id="c"),))),
    ],
)
def test_what_is_not_whole_is_not_kept(seen: bytes) -> None:
    assert replay.kept(seen, stream=True) is None
    assert replay.kept(seen, stream=False) is None
