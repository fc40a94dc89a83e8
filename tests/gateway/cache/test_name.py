"""What an answer depends on, and what it does not."""

from __future__ import annotations

import json
from typing import Any

import pytest

from penjing.engines.engine import Capabilities
from penjing.gateway.cache.name import deterministic, name, replayable
from penjing.gateway.dialects.openai import wire
from penjing.gateway.dialects.openai.parse import parse

MODEL = Capabilities(model="m", version="1")


def named(owner: str = "", model: Capabilities = MODEL, **fields: Any) -> bytes:
    said = {"messages": [{"role": "user", "content": "hi"}], "temperature": 0, **fields}
    return name(json.dumps(said).encode(), wire.ChatBody, model, owner)


def test_what_an_answer_depends_on() -> None:
    names = [
        named(),
        named(owner="someone"),
        named(model=Capabilities(model="m", version="2")),
        named(model=Capabilities(model="n", version="1")),
        named(temperature=0.5),
        named(messages=[{"role": "user", "content": "hi "}]),
        named(max_tokens=3),
        named(tools=[]),
    ]
    assert len(set(names)) == len(names)


def test_what_it_does_not_depend_on() -> None:
    assert named(stream=True, stream_options={"include_usage": True}, user="u", metadata={"a": "b"}) == named()
    body = json.dumps({"temperature": 0, "messages": [{"content": "hi", "role": "user"}]}, indent=2).encode()
    assert name(body, wire.ChatBody, MODEL, "") == named()


def body(**fields: Any) -> wire.ChatBody:
    return parse(json.dumps({"messages": [{"role": "user", "content": "hi"}], **fields}).encode(), wire.ChatBody)


@pytest.mark.parametrize("fields", [{"temperature": 0}, {"top_k": 1}, {"seed": 7}, {"temperature": 1, "seed": 0}])
def test_nothing_is_drawn(fields: dict[str, Any]) -> None:
    assert deterministic(body(**fields))


@pytest.mark.parametrize("fields", [{}, {"temperature": 0.1}, {"top_k": 2}, {"seed": -1}])
def test_something_is_drawn(fields: dict[str, Any]) -> None:
    assert not deterministic(body(**fields))


@pytest.mark.parametrize("fields", [{"logprobs": True}, {"n": 2}, {"timings_per_token": True}])
def test_what_cannot_be_given_again(fields: dict[str, Any]) -> None:
    assert not replayable(body(**fields))
    assert replayable(body(logprobs=False, n=1))
