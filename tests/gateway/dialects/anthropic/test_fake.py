"""Anthropic's own client against a gateway before a scripted engine."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anthropic
import pytest

from gateway.running import Running, Serving, until
from penjing.engines.fake import Fake, Script
from penjing.gateway.options import GatewayOptions
from penjing.gateway.policies.route import RouteOptions
from penjing.gateway.routing.rules import Rule

TAGS = '<think>tap it</think><answer>do(action="Tap", element=[499,966])</answer>'
PIXEL = "iVBORw0KGgo="
ASK: dict[str, Any] = {"model": "fake", "max_tokens": 100, "messages": [{"role": "user", "content": "hi"}]}


@asynccontextmanager
async def client(running: Running, key: str = "k") -> AsyncIterator[anthropic.AsyncAnthropic]:
    async with anthropic.AsyncAnthropic(base_url=running.url, api_key=key, max_retries=0) as made:
        yield made


async def test_an_answer(serving: Serving) -> None:
    async with serving(Script(tokens=tuple(TAGS))) as running, client(running) as claude:
        message = await claude.messages.create(**ASK)
    assert message.id.startswith("msg_")
    assert (message.type, message.role, message.model) == ("message", "assistant", "fake")
    assert [(block.type, block.text) for block in message.content] == [("text", TAGS)]
    assert (message.stop_reason, message.stop_sequence) == ("end_turn", None)
    assert message.usage.input_tokens == 1
    assert message.usage.output_tokens == len(TAGS)


async def test_a_stream_event_by_event(serving: Serving) -> None:
    async with serving(Script(tokens=("Hel", "lo"))) as running:
        text = await running.stream(ASK, "/v1/messages")
    events = [dict(line.split(": ", 1) for line in event.split("\n")) for event in text.strip().split("\n\n")]
    said = [json.loads(event["data"]) for event in events]
    assert (
        [event["event"] for event in events]
        == [each["type"] for each in said]
        == [
            "message_start",
            "ping",
            "content_block_start",
            "content_block_delta",
            "content_block_delta",
            "content_block_stop",
            "message_delta",
            "message_stop",
        ]
    )
    assert said[0]["message"]["content"] == []
    assert said[2] == {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}
    assert said[3]["delta"] == {"type": "text_delta", "text": "Hel"}
    assert said[6]["delta"] == {"stop_reason": "end_turn", "stop_sequence": None}
    assert said[6]["usage"]["output_tokens"] == 2


async def test_the_clients_own_stream(serving: Serving) -> None:
    async with (
        serving(Script(tokens=tuple(TAGS), finish="length")) as running,
        client(running) as claude,
        claude.messages.stream(**ASK) as stream,
    ):
        text = "".join([piece async for piece in stream.text_stream])
        message = await stream.get_final_message()
    assert text == TAGS
    assert message.stop_reason == "max_tokens"
    assert (message.usage.input_tokens, message.usage.output_tokens) == (1, len(TAGS))


async def test_what_the_engine_is_asked(serving: Serving) -> None:
    image = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PIXEL}}
    hint = {"type": "ephemeral", "ttl": "1h"}
    ask: dict[str, Any] = {
        **ASK,
        "system": [{"type": "text", "text": "Be brief.", "cache_control": hint}],
        "messages": [
            {"role": "user", "content": [{"type": "text", "text": TAGS, "cache_control": hint}]},
            {
                "role": "assistant",
                "content": [
                    {"type": "thinking", "thinking": "Look.", "signature": "unsigned"},
                    {"type": "text", "text": "One moment."},
                    {"type": "tool_use", "id": "t1", "name": "look", "input": {"at": [1, 2.0]}},
                ],
            },
            {
                "role": "user",
                "content": [
                    {"type": "tool_result", "tool_use_id": "t1", "content": "broken", "is_error": True},
                    {"type": "text", "text": "Go on."},
                ],
            },
        ],
        "tools": [{"name": "look", "description": "Look.", "input_schema": {"type": "object"}, "cache_control": hint}],
        "tool_choice": {"type": "any", "disable_parallel_tool_use": True},
        "thinking": {"type": "enabled", "budget_tokens": 1024},
        "stop_sequences": ["STOP"],
        "metadata": {"user_id": "me"},
        "service_tier": "auto",
        "output_config": {"effort": "low", "format": {"type": "json_schema", "schema": {"type": "object"}}},
    }
    async with serving(Script()) as running, client(running) as claude:
        await claude.messages.create(**ask, extra_body={"temperature": 0.5, "top_k": 3, "top_p": 0.9})
        refused = {**ASK, "messages": [{"role": "user", "content": [image, {"type": "text", "text": "?"}]}]}
        with pytest.raises(anthropic.BadRequestError, match="images"):  # the scripted engine is blind
            await claude.messages.create(**refused)
        (received,) = running.engine.requests
    body = received.body
    assert body["messages"] == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": TAGS},
        {
            "role": "assistant",
            "content": "One moment.",
            "reasoning_content": "Look.",
            "tool_calls": [
                {"id": "t1", "type": "function", "function": {"name": "look", "arguments": '{"at":[1,2.0]}'}}
            ],
        },
        {"role": "tool", "content": "Error: broken", "tool_call_id": "t1"},
        {"role": "user", "content": "Go on."},
    ]
    assert body["tools"][0]["function"] == {"name": "look", "description": "Look.", "parameters": {"type": "object"}}
    assert (body["tool_choice"], body["parallel_tool_calls"]) == ("required", False)
    assert body["chat_template_kwargs"] == {"enable_thinking": True, "reasoning_effort": "low"}
    assert body["thinking_budget_tokens"] == 1024
    assert (body["temperature"], body["top_k"], body["top_p"], body["max_tokens"]) == (0.5, 3, 0.9, 100)
    assert (body["stop"], body["user"]) == (["STOP"], "me")
    assert body["response_format"]["json_schema"]["schema"] == {"type": "object"}


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"tools": [{"type": "web_search_20250305", "name": "web_search", "max_uses": 5}]}, "web_search_20250305"),
        ({"mcp_servers": []}, "mcp_servers"),
        ({"container": "c"}, "container"),
        ({"thinking": {"type": "between_tools"}}, "thinking"),
        ({"temprature": 1}, "temperature"),
        ({"messages": [{"role": "user", "content": [{"type": "document", "source": {}}]}]}, "document"),
        ({"messages": [{"role": "assistant", "content": [{"type": "redacted_thinking", "data": "x"}]}]}, "redacted"),
        ({"messages": [{"role": "user", "content": [{"type": "thinking", "thinking": "x"}]}]}, r"content\[0\]"),
        ({"max_tokens": None}, "max_tokens"),
    ],
)
async def test_what_cannot_be_said_is_refused_by_name(serving: Serving, fields: dict[str, Any], named: str) -> None:
    async with serving(Script()) as running:
        status, body = await running.post("/v1/messages", {**ASK, **fields})
        assert not running.engine.requests
    assert status == 400
    assert body["type"] == "error"
    assert body["error"]["type"] == "invalid_request_error"
    assert named.replace("\\", "") in body["error"]["message"]
    assert body["request_id"].startswith("req_")


async def test_errors_become_the_clients_own(serving: Serving) -> None:
    async with serving(Script(), GatewayOptions(api_keys=("right",))) as running:
        async with client(running, "wrong") as claude:
            with pytest.raises(anthropic.AuthenticationError) as refused:
                await claude.messages.create(**ASK)
            assert refused.value.body["error"]["type"] == "authentication_error"  # type: ignore[index,call-overload]
        async with client(running, "right") as claude:
            with pytest.raises(anthropic.NotFoundError) as missing:
                await claude.messages.create(**{**ASK, "model": "claude"})
            assert missing.value.body["error"]["type"] == "not_found_error"  # type: ignore[index,call-overload]
            assert "fake" in missing.value.body["error"]["message"]  # type: ignore[index,call-overload]


@pytest.mark.parametrize(("status", "kind"), [(429, "rate_limit_error"), (500, "api_error")])
async def test_the_engines_errors(serving: Serving, status: int, kind: str) -> None:
    async with serving(Script(status=status)) as running:
        _, body = await running.post("/v1/messages", ASK)
    assert body["error"]["type"] == kind


async def test_a_break_in_the_stream_is_its_last_event(serving: Serving) -> None:
    async with serving(Script(die_after=2, delay=0.01)) as running, client(running) as claude:
        with pytest.raises(anthropic.APIStatusError, match="stopped"):
            async with claude.messages.stream(**ASK) as stream:
                await stream.get_final_message()
        text = await running.stream(ASK, "/v1/messages")
    assert text.rstrip().split("\n\n")[-1].startswith('event: error\ndata: {"type":"error","error":{"type":"api_error"')
    assert "message_stop" not in text


async def test_tokens_are_counted(serving: Serving) -> None:
    async with serving(Script()) as running, client(running) as claude:
        messages: Any = [{"role": "user", "content": "one two three"}]
        counted = await claude.messages.count_tokens(model="fake", messages=messages, system="four five")
        assert counted.input_tokens == 5
        with pytest.raises(anthropic.BadRequestError, match="max_tokens"):
            await claude.messages.count_tokens(model="fake", messages=messages, extra_body={"max_tokens": 1})


async def test_what_must_stay_is_not_counted_elsewhere(serving: Serving) -> None:
    """By the request's own word, and by a rule."""
    cloud, here = Fake(name="cloud", local=False), Fake(name="here")
    rules = RouteOptions(rules=(Rule(name="patients", task=("medical",), local_only=True),))
    ask = {"model": "cloud", "messages": ASK["messages"]}
    options = GatewayOptions(policies={"route": rules})
    async with serving(engines={"cloud": cloud, "here": here}, options=options) as running:
        await until(lambda: len(running.said) > 1, "ready")
        for headers in ({"x-penjing-local-only": "1"}, {"x-penjing-task": "medical"}):
            status, body = await running.post("/v1/messages/count_tokens", ask, **headers)
            assert (status, body["error"]["type"]) == (403, "permission_error")
            assert not cloud.requests
            status, _ = await running.post("/v1/messages/count_tokens", {**ask, "model": "here"}, **headers)
            assert status == 200
        assert (await running.post("/v1/messages/count_tokens", ask))[0] == 200
    assert len(cloud.requests) == 1


async def test_both_kinds_of_clients_list_models_in_their_shape(serving: Serving) -> None:
    async with serving(Script()) as running, client(running) as claude:
        listed = [model async for model in claude.models.list()]
        one = await claude.models.retrieve("fake")
        with pytest.raises(anthropic.NotFoundError):
            await claude.models.retrieve("nobody")
        _, plain = await running.get("/v1/models")
    assert [model.id for model in listed] == ["fake"]
    assert (one.type, one.display_name, one.max_input_tokens) == ("model", "fake", 4096)
    assert plain["object"] == "list"


@pytest.mark.parametrize(
    ("query", "names", "more"),
    [
        ("", ["a", "b", "c"], False),
        ("?limit=2", ["a", "b"], True),
        ("?after_id=b", ["c"], False),
        ("?before_id=c&limit=1", ["b"], True),
    ],
)
async def test_pages_of_models(serving: Serving, query: str, names: list[str], more: bool) -> None:
    engines = {name: Fake(name=name) for name in "abc"}
    async with serving(engines=engines) as running:
        status, said = await running.get(f"/v1/models{query}", **{"anthropic-version": "2023-06-01"})
        assert status == 200
        bad, _ = await running.get("/v1/models?limit=0", **{"anthropic-version": "2023-06-01"})
    assert bad == 400
    assert [model["id"] for model in said["data"]] == names
    assert (said["has_more"], said["first_id"], said["last_id"]) == (more, names[0], names[-1])


@pytest.mark.parametrize("header", ["x-api-key", "authorization"])
async def test_keys_come_as_every_release_of_the_client_sends_them(serving: Serving, header: str) -> None:
    async with serving(Script(), GatewayOptions(api_keys=("right",))) as running:
        before = "Bearer " if header == "authorization" else ""
        for path in ("/v1/messages", "/v1/messages/count_tokens"):
            ask = ASK if path == "/v1/messages" else {"messages": ASK["messages"]}
            assert (await running.post(path, ask, **{header: f"{before}right"}))[0] == 200
            status, body = await running.post(path, ask, **{header: f"{before}wrong"})
            assert (status, body["error"]["type"]) == (401, "authentication_error")
