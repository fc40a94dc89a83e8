"""The bytes an engine gets."""

from __future__ import annotations

import json
from typing import Any

import pytest

from penjing.engines.engine import Capabilities
from penjing.gateway.dialects.openai import wire
from penjing.gateway.dialects.openai.parse import parse
from penjing.gateway.dialects.openai.rewrite import DROP, for_engine, replaced

MODEL = Capabilities("m")
MESSAGES = [{"role": "user", "content": "hi"}]


def sent(body: dict[str, Any], kind: type[wire.Body] = wire.ChatBody) -> dict[str, Any]:
    raw = json.dumps(body).encode()
    parsed: Any = parse(raw, kind)
    decoded: dict[str, Any] = json.loads(for_engine(raw, parsed, MODEL))
    return decoded


def test_nothing_to_change_is_the_same_object() -> None:
    raw = b'{"model": "m", "messages": [{"role":"user","content":"hi"}], "temperature": 0.10}'
    assert for_engine(raw, parse(raw, wire.ChatBody), MODEL) is raw


def test_other_fields_stay_byte_for_byte() -> None:
    raw = '{"model":"other","messages":[{"role":"user","content":"\\u4f60好"}],"temperature":0.10}'.encode()
    changed = for_engine(raw, parse(raw, wire.ChatBody), MODEL)
    assert changed == raw.replace(b'"other"', b'"m"')


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (
            {"enable_thinking": False},
            {"chat_template_kwargs": {"enable_thinking": False}, "reasoning_format": "auto"},
        ),
        (
            {"chat_template_kwargs": {"enable_thinking": True}},
            {"chat_template_kwargs": {"enable_thinking": True}, "reasoning_format": "none"},
        ),
        ({"return_reasoning": True}, {"reasoning_format": "auto"}),
        ({"return_reasoning": False}, {"reasoning_format": "auto"}),
        (
            {"reasoning_effort": "low"},
            {
                "chat_template_kwargs": {"reasoning_effort": "low", "enable_thinking": True},
                "reasoning_format": "none",
            },
        ),
        (
            {"reasoning_effort": "none", "chat_template_kwargs": {"x": 1}},
            {
                "chat_template_kwargs": {"reasoning_effort": "none", "enable_thinking": False, "x": 1},
                "reasoning_format": "auto",
            },
        ),
        ({"seed": 2**32 + 5}, {"seed": 5}),
        ({"seed": -1}, {"seed": 2**32 - 1}),
    ],
)
def test_fields_that_mean_something_to_us(given: dict[str, Any], expected: dict[str, Any]) -> None:
    body = {"model": "m", "messages": MESSAGES, **given}
    assert sent(body) == {"model": "m", "messages": MESSAGES, **expected}


def test_a_named_tool_is_the_only_one_and_required() -> None:
    tools = [{"type": "function", "function": {"name": name, "parameters": {"a": [1.50]}}} for name in ("f", "g")]
    choice = {"type": "function", "function": {"name": "g"}}
    body = sent({"model": "m", "messages": MESSAGES, "tools": tools, "tool_choice": choice})
    assert body["tools"] == [tools[1]]
    assert body["tool_choice"] == "required"


def test_the_developer_is_the_system() -> None:
    call = {"id": "1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    messages = [{"content": "be brief", "role": "developer"}, {"role": "assistant", "tool_calls": [call]}]
    body = sent({"model": "m", "messages": messages})
    assert body["messages"] == [{"content": "be brief", "role": "system"}, messages[1]]


def test_embeddings_and_completions() -> None:
    assert sent({"input": "x"}, wire.EmbeddingBody) == {"input": "x", "model": "m"}
    assert sent({"prompt": "x", "model": "m", "seed": -1}, wire.CompletionBody)["seed"] == 2**32 - 1


def test_replaced_sets_and_drops() -> None:
    assert json.loads(replaced(b'{"a":1,"b":2}', {"a": DROP, "c": [3]})) == {"b": 2, "c": [3]}


def test_tools_that_are_null_are_none() -> None:
    changed = sent({"model": "m", "messages": [{"role": "developer", "content": "be brief"}], "tools": None})
    assert changed["messages"][0]["role"] == "system"
