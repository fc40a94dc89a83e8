"""Ollama's own client, and what it does not show."""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import ollama
import pytest

from gateway.running import Process, Running, Serving, engine_of, engines_of, eventually, user
from penjing.engines.fake import Script
from penjing.errors import EngineError, InvalidRequest
from penjing.gateway.dialects.ollama.convert import request, seconds
from penjing.gateway.dialects.ollama.said import Writer
from penjing.gateway.dialects.ollama.wire import OllamaChat
from penjing.gateway.dialects.openai.convert import encode
from penjing.gateway.dialects.openai.convert import whole as openai_whole
from penjing.gateway.dialects.openai.parse import parse
from penjing.messages import Choice, Completion, Finish, Image, Message, Text, ToolCall

PIXEL = base64.b64encode(b"\x89PNG\r\n\x1a\n" + bytes(20)).decode()


@asynccontextmanager
async def asking(serving: Serving, script: Script | None = None) -> AsyncIterator[tuple[Running, ollama.AsyncClient]]:
    async with serving(script) as running, ollama.AsyncClient(running.url) as client:
        yield running, client


async def test_a_conversation(serving: Serving) -> None:
    async with asking(serving) as (running, client):
        said = await client.chat("fake:latest", [user("hi")], options={"temperature": 0, "num_predict": 50})
        assert said.message.content == "Hello, world!"
        assert (said.done, said.done_reason, said.eval_count) == (True, "stop", 4)
        assert said.total_duration
        pieces = [piece async for piece in await client.chat("fake", [user("hi")], stream=True)]
        assert "".join(piece.message.content or "" for piece in pieces) == "Hello, world!"
        assert [piece.done for piece in pieces[-2:]] == [False, True]
        assert running.engine.requests[0].body["max_tokens"] == 50


async def test_a_prompt(serving: Serving) -> None:
    async with asking(serving) as (running, client):
        said = await client.generate("fake", "hi", system="Be kind.", keep_alive="5m")
        assert said.response == "Hello, world!"
        roles = [turn["role"] for turn in running.engine.requests[0].body["messages"]]
        assert roles == ["system", "user"]
        said = await client.generate("fake", "Once", raw=True)
        assert running.engine.requests[1].path == "/v1/completions"
        pieces = [piece async for piece in await client.generate("fake", "hi", stream=True)]
        assert "".join(piece.response for piece in pieces) == "Hello, world!"


async def test_models_and_what_they_can_do(serving: Serving) -> None:
    async with asking(serving) as (running, client):
        assert [model.model for model in (await client.list()).models] == ["fake"]
        assert [model.model for model in (await client.ps()).models] == ["fake"]
        shown = await client.show("fake")
        assert "completion" in (shown.capabilities or [])
        status, _ = await running.get("/")
        assert status == 200
        _, version = await running.get("/api/version")
        assert version["version"]
        with pytest.raises(ollama.ResponseError, match="no model 'none'"):
            await client.show("none")
        with pytest.raises(ollama.ResponseError, match="penjing serve"):
            await client.pull("llama3")


async def test_vectors(serving: Serving) -> None:
    async with asking(serving) as (_, client):
        said = await client.embed("fake", ["a", "b"])
        assert len(said.embeddings) == 2
        assert len((await client.embeddings("fake", "a")).embedding) == len(said.embeddings[0])


async def test_errors_are_one_sentence(serving: Serving) -> None:
    async with asking(serving) as (running, client):
        for body in ({"model": "fake", "mesages": []}, {"model": "none", "messages": [user("a")]}, {"messages": 3}):
            status, said = await running.post("/api/chat", body)
            assert status in (400, 404)
            assert isinstance(said["error"], str)
        status, said = await running.post("/api/chat", {"messages": [user("a")], "options": {"num_ctxx": 3}})
        assert "num_ctx" in said["error"]
    async with asking(serving, Script(die_after=2)) as (running, client):
        with pytest.raises(ollama.ResponseError):
            _ = [piece async for piece in await client.chat("fake", [user("hi")], stream=True)]


async def test_a_context_that_is_not_there_is_refused_and_a_smaller_one_heeded(serving: Serving) -> None:
    async with asking(serving, Script(context=4096)) as (_, client):
        with pytest.raises(ollama.ResponseError, match="context of 4096"):
            await client.chat("fake", [user("hi")], options={"num_ctx": 8192})
        await client.chat("fake", [user("hi")], options={"num_ctx": 2048})


def test_turns_of_tools_find_each_other() -> None:
    talk = [
        user("look"),
        {
            "role": "assistant",
            "tool_calls": [
                {"function": {"name": "a", "arguments": {"x": 1}}},
                {"function": {"name": "b", "arguments": {}}},
            ],
        },
        {"role": "tool", "tool_name": "b", "content": "of b"},
        {"role": "tool", "content": "of a"},
    ]
    made = request(parse(json.dumps({"model": "m", "messages": talk}).encode(), OllamaChat))
    calls = made.messages[1].tool_calls
    assert calls == (
        ToolCall(id="call_1_0", name="a", arguments='{"x": 1}'),
        ToolCall(id="call_1_1", name="b", arguments="{}"),
    )
    assert [turn.tool_call_id for turn in made.messages[2:]] == ["call_1_1", "call_1_0"]
    with pytest.raises(InvalidRequest, match="waits for a result"):
        request(parse(json.dumps({"messages": [{"role": "tool", "content": "x"}]}).encode(), OllamaChat))


def test_a_result_that_names_its_call_leaves_the_others_theirs() -> None:
    calls = [{"id": name, "function": {"name": "a", "arguments": {}}} for name in "xy"]
    talk = [
        {"role": "assistant", "tool_calls": calls},
        {"role": "tool", "tool_call_id": "x", "content": "of x"},
        {"role": "tool", "tool_name": "a", "content": "of y"},
    ]
    made = request(parse(json.dumps({"messages": talk}).encode(), OllamaChat))
    assert [turn.tool_call_id for turn in made.messages[1:]] == ["x", "y"]


def test_how_much_to_think_is_told_to_the_template() -> None:
    made = request(parse(json.dumps({"messages": [user("a")], "think": "low"}).encode(), OllamaChat))
    assert made.thinking
    assert made.sampling.extra["chat_template_kwargs"] == {"reasoning_effort": "low"}


def test_an_answer_that_broke_off_is_none() -> None:
    with pytest.raises(EngineError):
        Writer("m", chat=True, began=0.0).write(encode(Finish(reason="error"), "m", "x"))


def test_calls_have_the_names_that_results_come_back_with() -> None:
    call = ToolCall(id="x", name="a", arguments="{}")
    message = Message(role="assistant", tool_calls=(call,))
    whole = openai_whole(Completion(model="m", choices=(Choice(message=message, reason="tool_calls"),)), "x")
    said = json.loads(Writer("m", chat=True, began=0.0).whole(whole))
    assert said["message"]["tool_calls"] == [{"id": "x", "function": {"index": 0, "name": "a", "arguments": {}}}]


def test_images_come_before_the_text() -> None:
    body = {"model": "m", "messages": [{**user("what?"), "images": [PIXEL]}]}
    (turn,) = request(parse(json.dumps(body).encode(), OllamaChat)).messages
    assert isinstance(turn.parts[0], Image)
    assert turn.parts[0].media_type == "image/png"
    assert turn.parts[1] == Text(text="what?")


@pytest.mark.parametrize(
    ("given", "wanted"),
    [(None, None), ("5m", 300), ("1h30m", 5400), (0, 0), ("-1", float("inf")), (-1, float("inf")), (30, 30)],
)
def test_times(given: Any, wanted: float | None) -> None:
    assert seconds(given) == wanted


def test_no_time() -> None:
    with pytest.raises(InvalidRequest, match="soon"):
        seconds("soon")


@pytest.fixture
def client(real: Process) -> Iterator[ollama.Client]:
    with ollama.Client(real.url) as made:
        yield made


def test_with_the_guide(client: ollama.Client) -> None:
    said = client.chat("guide", [user("What is quantization?")], options={"temperature": 0, "num_predict": 60})
    assert "bits" in (said.message.content or "")
    schema = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
    form = client.chat("guide", [user("What is 2 + 3?")], format=schema, options={"temperature": 0, "num_predict": 40})
    assert isinstance(json.loads(form.message.content or "")["n"], int)
    tool = {
        "type": "function",
        "function": {"name": "now", "description": "The time.", "parameters": {"type": "object"}},
    }
    assert client.chat("guide", [user("What time is it?")], tools=[tool], options={"num_predict": 40}).done


def test_an_engine_rests_and_wakes(real: Process, client: ollama.Client) -> None:
    before = engine_of(real).pid
    assert client.generate("guide", "", keep_alive=0).done_reason == "unload"
    eventually(lambda: not client.ps().models, "it rests")
    assert engines_of(real) == []
    assert client.generate("guide", "What is quantization?", options={"num_predict": 20}).response
    assert engine_of(real).pid != before
    assert client.ps().models[0].model == "guide"


def test_a_smaller_context_is_heeded_by_a_real_tokenizer(client: ollama.Client) -> None:
    talk = [user("word " * 100)]
    assert client.chat("guide", talk, options={"num_ctx": 512, "num_predict": 4}).done
    with pytest.raises(ollama.ResponseError, match="context of 64"):
        client.chat("guide", talk, options={"num_ctx": 64, "num_predict": 4})
    with pytest.raises(ollama.ResponseError, match="context of 64"):
        client.generate("guide", "word " * 100, raw=True, options={"num_ctx": 64, "num_predict": 4})
    assert client.generate("guide", "word", raw=True, options={"num_ctx": 64, "num_predict": 4}).done
