"""Several answers as one, from a fake that counts what it was asked."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from gateway.running import Serving, until, user
from penjing.engines.fake import Script
from penjing.gateway.dialects.openai import wire
from penjing.gateway.dialects.openai.parse import parse
from penjing.gateway.merge import AT_ONCE, several, split


def chat(**fields: Any) -> tuple[bytes, wire.ChatBody]:
    raw = json.dumps({"model": "m", "messages": [user("hi")], **fields}).encode()
    return raw, parse(raw, wire.ChatBody)


def completion(**fields: Any) -> tuple[bytes, wire.CompletionBody]:
    raw = json.dumps({"model": "m", **fields}).encode()
    return raw, parse(raw, wire.CompletionBody)


def test_who_needs_it() -> None:
    assert not several(chat()[1])
    assert not several(chat(n=1)[1])
    assert several(chat(n=2)[1])
    assert not several(completion(prompt="x")[1])
    assert not several(completion(prompt=["x"])[1])
    assert not several(completion(prompt=[1, 2, 3])[1])
    assert several(completion(prompt=["x", "y"])[1])
    assert several(completion(prompt=[[1], [2]])[1])
    assert not several(wire.EmbeddingBody(input=["x", "y"]))


def test_seeds_count_up() -> None:
    requests = [json.loads(each) for each in split(*chat(n=3, seed=2**32 - 1))]
    assert [each["n"] for each in requests] == [1, 1, 1]
    assert [each["seed"] for each in requests] == [2**32 - 1, 0, 1]


def test_prompts_times_choices() -> None:
    requests = [json.loads(each) for each in split(*completion(prompt=["x", "y"], n=2))]
    assert [each["prompt"] for each in requests] == ["x", "x", "y", "y"]
    assert all("seed" not in each for each in requests)


@pytest.mark.parametrize("stream", [False, True])
async def test_a_hundred_are_asked_a_few_at_a_time(serving: Serving, stream: bool) -> None:
    async with serving(Script(tokens=("x",), slots=100)) as running:
        pool = running.gateway.house.pool("fake", running.engine)
        body = {"prompt": [f"{number}" for number in range(100)], "stream": stream}
        asking = asyncio.create_task(
            running.stream(body, "/v1/completions") if stream else running.post("/v1/completions", body)
        )
        most = 0
        while not asking.done():
            most = max(most, pool.active + pool.queued)
            await asyncio.sleep(0)
        answer = await asking
    assert 1 < most <= AT_ONCE
    assert [received.body["prompt"] for received in running.engine.requests] == body["prompt"]
    if stream:
        told = [json.loads(line[6:]) for line in answer.split("\n") if line.startswith("data: {")]
        assert {choice["index"] for event in told for choice in event["choices"]} == set(range(100))
    else:
        assert [choice["index"] for choice in answer[1]["choices"]] == list(range(100))


async def test_whole_answers(serving: Serving) -> None:
    async with serving() as running:
        status, body = await running.chat("two words", n=3)
        assert status == 200
        assert [choice["index"] for choice in body["choices"]] == [0, 1, 2]
        assert {choice["message"]["content"] for choice in body["choices"]} == {"Hello, world!"}
        assert body["usage"]["prompt_tokens"] == 2
        assert body["usage"]["completion_tokens"] == 12
        assert body["usage"]["total_tokens"] == 14
        status, body = await running.post("/v1/completions", {"prompt": ["one", "two words"], "n": 2})
        assert [choice["index"] for choice in body["choices"]] == [0, 1, 2, 3]
        assert body["usage"]["prompt_tokens"] == 3


@pytest.mark.parametrize("usage", [True, False])
async def test_streams(serving: Serving, usage: bool) -> None:
    async with serving(Script(delay=0.005)) as running:
        options = {"stream_options": {"include_usage": True}} if usage else {}
        text = await running.stream({"messages": [user("hi")], "n": 2, **options})
    assert text.endswith("data: [DONE]\n\n")
    events = [json.loads(line[6:]) for line in text.split("\n") if line.startswith("data: {")]
    said = {0: "", 1: ""}
    for event in events:
        for choice in event["choices"]:
            said[choice["index"]] += choice["delta"].get("content") or ""
    assert said == {0: "Hello, world!", 1: "Hello, world!"}
    assert len({event["id"] for event in events}) == 1
    assert [event["usage"]["completion_tokens"] for event in events if "usage" in event] == ([8] if usage else [])


async def test_one_that_dies_ends_the_stream_with_an_error_and_stops_the_others(serving: Serving) -> None:
    async with serving(Script(tokens=("x",) * 500, delay=0.01, die_after=3)) as running:
        text = await running.stream({"messages": [user("hi")], "n": 3})
        assert "engine_died" in text
        assert "[DONE]" not in text
        await until(lambda: running.gateway.house.pools["fake"].active == 0, "all are over")


async def test_an_error_is_told_once(serving: Serving) -> None:
    async with serving(Script(status=500)) as running:
        for stream in (True, False):
            status, body = await running.chat(n=2, stream=stream)
            assert (status, body["error"]["code"]) == (502, "engine_error")


async def test_a_client_that_leaves_stops_all(serving: Serving) -> None:
    async with serving(Script(tokens=("x",) * 500, delay=0.02)) as running:
        async with running.client.post(
            "/v1/chat/completions", json={"messages": [user("hi")], "n": 3, "stream": True}
        ) as answer:
            await answer.content.readline()
        await until(lambda: running.engine.left == 3, "the engine notices all")
        assert running.gateway.house.pools["fake"].active == 0


@pytest.mark.parametrize("stream", [True, False])
async def test_an_engine_that_garbles_is_an_error(serving: Serving, stream: bool) -> None:
    async with serving(Script(garble_after=1)) as running:
        if stream:
            assert "engine_error" in await running.stream({"messages": [user("hi")], "n": 2})
        else:
            assert (await running.chat(n=2))[0] == 200
