"""Answers of engines as internal events."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penjing.errors import EngineError
from penjing.gateway.dialects.openai import convert, events
from penjing.messages import Choice, Completion, Delta, Finish, Message, Text, ToolCall, ToolPiece, Usage

words = st.text(st.characters(codec="utf-8"), max_size=40)
some = st.text(st.characters(codec="utf-8"), min_size=1, max_size=40)
counts = st.integers(0, 1 << 30)
usages = st.builds(Usage, prompt_tokens=counts, completion_tokens=counts, cached_tokens=counts)
pieces = st.builds(ToolPiece, index=st.integers(0, 5), id=words, name=words, arguments=words)
reasons = st.sampled_from(("stop", "length", "tool_calls", "content_filter"))
deltas = st.one_of(
    st.builds(Delta, index=st.integers(0, 3), text=some, reasoning=words),
    st.builds(Delta, index=st.integers(0, 3), text=words, tool_calls=st.lists(pieces, min_size=1).map(tuple)),
)
answers = st.builds(
    Message,
    role=st.just("assistant"),
    parts=st.lists(some, max_size=1).map(lambda texts: tuple(Text(text=text) for text in texts)),
    reasoning=words,
    tool_calls=st.lists(st.builds(ToolCall, id=words, name=words, arguments=words), max_size=2).map(tuple),
)


def payload(encoded: bytes) -> bytes:
    return encoded.removeprefix(b"data: ").removesuffix(b"\n\n")


@given(st.one_of(deltas, st.builds(Finish, index=st.integers(0, 3), reason=reasons), usages))
def test_events_come_back_as_they_were(event: Any) -> None:
    assert events.decoded(payload(convert.encode(event, "m", "id"))) == (event,)


@given(st.lists(st.builds(Choice, message=answers, reason=reasons), max_size=3), st.none() | usages)
def test_whole_answers_come_back_as_they_were(choices: list[Choice], usage: Usage | None) -> None:
    made = Completion(model="m", choices=tuple(choices), usage=usage)
    assert events.completion(convert.whole(made, "id")) == made


def test_texts_of_bare_completions_are_deltas() -> None:
    said = {"choices": [{"index": 1, "text": "so", "finish_reason": "length"}]}
    assert events.decoded(json.dumps(said).encode()) == (Delta(index=1, text="so"), Finish(index=1, reason="length"))


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'{"choices": 3}', b'{"error": {"message": "no"}}', b"\xff"])
def test_what_is_broken_is_the_engines_fault(body: bytes) -> None:
    with pytest.raises(EngineError):
        events.decoded(body)
    with pytest.raises(EngineError):
        events.completion(body)


def test_other_names_for_the_same() -> None:
    said = {"choices": [{"index": 0, "delta": {"reasoning": "hm"}, "finish_reason": "function_call"}]}
    assert events.decoded(json.dumps(said).encode()) == (Delta(reasoning="hm"), Finish(reason="tool_calls"))
