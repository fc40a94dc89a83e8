"""OpenAI's bodies in the internal form, and events in OpenAI's."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from penjing.errors import InvalidRequest
from penjing.gateway.dialects.openai import convert, wire
from penjing.gateway.dialects.openai.parse import parse
from penjing.messages import Audio, Delta, Finish, Image, Request, Text, ToolCall, ToolPiece, Usage


def request(kind: type[wire.Body] = wire.ChatBody, **fields: Any) -> Request:
    raw = json.dumps(fields).encode()
    parsed: Any = parse(raw, kind)
    made = convert.request(parsed, raw)
    assert made.wire is not None
    assert made.wire.body is raw
    return made


def user(content: Any) -> list[Any]:
    return [{"role": "user", "content": content}]


def test_parts_keep_their_order() -> None:
    data = base64.b64encode(b"png").decode()
    parts = [
        {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{data}", "detail": "low"}},
        {"type": "text", "text": "<think>x</think>"},
        {"type": "image_url", "image_url": {"url": "https://a.example/b.png"}},
        {"type": "input_audio", "input_audio": {"data": data, "format": "wav"}},
    ]
    (message,) = request(messages=user(parts)).messages
    assert message.parts == (
        Image(data=b"png", media_type="image/png", detail="low"),
        Text(text="<think>x</think>"),
        Image(url="https://a.example/b.png"),
        Audio(data=b"png", format="wav"),
    )
    assert message.text == "<think>x</think>"


def test_a_conversation_with_tools() -> None:
    call = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": '{"a": 1}'}}
    made = request(
        messages=[
            {"role": "developer", "content": "be brief"},
            *user("hi"),
            {"role": "assistant", "content": None, "tool_calls": [call], "reasoning_content": "hm"},
            {"role": "tool", "tool_call_id": "c1", "content": "ok"},
        ],
        tools=[{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}, "strict": True}}],
        tool_choice={"type": "function", "function": {"name": "f"}},
        parallel_tool_calls=False,
    )
    assert [message.role for message in made.messages] == ["system", "user", "assistant", "tool"]
    assert made.messages[2].tool_calls == (ToolCall("c1", "f", '{"a": 1}'),)
    assert made.messages[2].reasoning == "hm"
    assert made.messages[3].tool_call_id == "c1"
    assert made.tools[0].parameters == {"type": "object"}
    assert made.tools[0].strict
    assert made.tool_choice == "f"
    assert made.parallel_tool_calls is False


def test_sampling() -> None:
    made = request(
        messages=user("hi"),
        temperature=0.5,
        top_k=3,
        max_completion_tokens=7,
        stop="x",
        logprobs=True,
        top_logprobs=2,
        logit_bias={"5": -1},
        min_p=0.1,
        samplers=["top_k"],
        grammar="root ::= x",
        n=2,
        stream=True,
        stream_options={"include_usage": True},
        user="me",
        reasoning_effort="none",
        return_reasoning=False,
    )
    sampling = made.sampling
    assert (sampling.temperature, sampling.top_k, sampling.max_tokens, sampling.stop) == (0.5, 3, 7, ("x",))
    assert sampling.logprobs == 2
    assert sampling.logit_bias == {"5": -1.0}
    assert sampling.extra == {"min_p": 0.1, "samplers": ["top_k"], "grammar": "root ::= x"}
    assert (made.choices, made.stream, made.include_usage, made.user) == (2, True, True, "me")
    assert (made.thinking, made.return_reasoning) == (False, False)


def test_a_banned_token() -> None:
    made = request(messages=user("hi"), logit_bias=[[5, False], ["word", 2]])
    assert made.sampling.logit_bias == {"5": float("-inf"), "word": 2.0}


@pytest.mark.parametrize(
    ("form", "schema"),
    [
        (None, None),
        ({"type": "text"}, None),
        ({"type": "json_object"}, {}),
        ({"type": "json_schema", "json_schema": {"name": "x", "schema": {"type": "object"}}}, {"type": "object"}),
    ],
)
def test_schemas(form: Any, schema: Any) -> None:
    assert request(messages=user("hi"), response_format=form).schema == schema


def test_a_bare_prompt() -> None:
    made = request(wire.CompletionBody, prompt="once", max_tokens=3, logprobs=1)
    assert (made.prompt, made.sampling.max_tokens, made.sampling.logprobs) == ("once", 3, 1)


def test_broken_base64_is_the_clients_mistake() -> None:
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,@@@"}}
    with pytest.raises(InvalidRequest, match="base64"):
        request(messages=user([image]))


def decoded(event: Any) -> dict[str, Any]:
    encoded = convert.encode(event, "m", "id-1")
    assert encoded.startswith(b"data: ")
    assert encoded.endswith(b"\n\n")
    found: dict[str, Any] = json.loads(encoded[6:])
    assert (found["id"], found["model"], found["object"]) == ("id-1", "m", "chat.completion.chunk")
    return found


def test_events() -> None:
    call = ToolPiece(0, "c", "f", "{}")
    delta = decoded(Delta(1, "text", "why", (call,)))["choices"][0]
    assert delta["index"] == 1
    assert delta["delta"]["content"] == "text"
    assert delta["delta"]["reasoning_content"] == "why"
    assert delta["delta"]["tool_calls"][0]["function"] == {"name": "f", "arguments": "{}"}
    assert decoded(Finish(0, "length"))["choices"] == [{"index": 0, "delta": {}, "finish_reason": "length"}]
    assert decoded(Usage(3, 4, 1))["usage"] == {
        "prompt_tokens": 3,
        "completion_tokens": 4,
        "total_tokens": 7,
        "prompt_tokens_details": {"cached_tokens": 1},
    }
