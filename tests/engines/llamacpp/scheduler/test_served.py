"""The real worker of our scheduler, over HTTP, beside llama.cpp's own server; `test_engine` asks both the same, too."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import numpy as np
import pytest

from engines.clients import answer, connected
from penjing.engines.llamacpp import EngineOptions, LlamaCpp
from penjing.engines.llamacpp.prepare import prepare
from penjing.errors import SettingError
from tiny_lora import write_tiny_lora
from tiny_model import write_tiny_gguf

RANK = 4
"""llama.h, LLAMA_POOLING_TYPE_RANK."""
HELLO = [{"role": "user", "content": "hello there, my friend, how are you today?"}]
WEATHER = [{"role": "user", "content": "What is the weather in Paris?"}]
TOOLS = [
    {
        "type": "function",
        "function": {
            "name": "get_weather",
            "description": "The weather of a city now.",
            "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
        },
    }
]
QUESTION = [{"role": "user", "content": "What is a KV cache?"}]


@asynccontextmanager
async def running(model: Path, **options: Any) -> AsyncIterator[tuple[LlamaCpp, aiohttp.ClientSession]]:
    """A started engine and a client of it."""
    one = LlamaCpp(model, "tiny", EngineOptions(**({"threads": 1, "scheduler": "penjing"} | options)))
    await one.start()
    try:
        async with connected(one.address) as client:
            yield one, client
    finally:
        await one.stop()


async def slots(client: aiohttp.ClientSession) -> list[bool]:
    async with client.get("/slots") as response:
        return [slot["is_processing"] for slot in await response.json()]


async def events(client: aiohttp.ClientSession, path: str = "/v1/chat/completions", **body: Any) -> list[Any]:
    async with client.post(path, json={"stream": True, **body}) as response:
        assert response.status == 200, await response.text()
        lines = (await response.text()).split("\n\n")
    assert lines[-2:] == ["data: [DONE]", ""]
    return [json.loads(line.removeprefix("data: ")) for line in lines[:-2]]


async def test_the_same_words_as_the_other_scheduler(guide: Path) -> None:
    bodies: list[dict[str, Any]] = [
        {"messages": QUESTION},
        {"messages": QUESTION, "max_tokens": 5},
        {"messages": HELLO, "ignore_eos": True, "max_tokens": 40},
        {"messages": [{"role": "system", "content": "Be brief."}, *HELLO], "stop": ["e"]},
        {"messages": QUESTION, "chat_template_kwargs": {"enable_thinking": True}, "reasoning_format": "auto"},
        {"messages": QUESTION, "logprobs": True, "top_logprobs": 2, "max_tokens": 3},
        {"messages": HELLO, "seed": 7, "temperature": 0.9, "logit_bias": {"5": -100}, "max_tokens": 20},
        {"messages": WEATHER, "tools": TOOLS},
        {"messages": HELLO, "repeat_penalty": 1.3, "presence_penalty": 0.5, "max_tokens": 20},
        {"messages": HELLO, "dry_multiplier": 0.8, "dry_allowed_length": 1, "max_tokens": 20},
        {"messages": HELLO, "seed": 3, "temperature": 1.5, "xtc_probability": 0.5, "max_tokens": 20},
        {"messages": HELLO, "seed": 3, "temperature": 1, "dynatemp_range": 0.5, "top_n_sigma": 2, "max_tokens": 20},
        {"messages": HELLO, "seed": 3, "temperature": 1, "mirostat": 1, "max_tokens": 20},
        {"messages": HELLO, "seed": 3, "temperature": 1, "mirostat": 2, "mirostat_tau": 3, "max_tokens": 20},
        {"messages": HELLO, "seed": 3, "temperature": 1, "samplers": ["top_k", "temperature"], "max_tokens": 20},
        {"messages": HELLO, "seed": 3, "temperature": 1, "typical_p": 0.5, "min_keep": 3, "max_tokens": 20},
    ]
    said: list[list[Any]] = []
    for scheduler in ("llama.cpp", "penjing"):
        async with running(guide, scheduler=scheduler, max_context=512, parallel=2) as (_, client):
            said.append([await answer(client, **body) for body in bodies])
    for body, theirs, ours in zip(bodies, *said, strict=True):
        one, two = theirs["choices"][0], ours["choices"][0]
        for call in (*one["message"].get("tool_calls", ()), *two["message"].get("tool_calls", ())):
            assert call.pop("id")
        assert two["message"] == one["message"], body
        assert two["finish_reason"] == one["finish_reason"]
        assert ours["usage"]["completion_tokens"] == theirs["usage"]["completion_tokens"]
        assert ours["usage"]["prompt_tokens"] == theirs["usage"]["prompt_tokens"]
        for mine, other in zip(*(each.get("logprobs", {}).get("content", []) for each in (two, one)), strict=True):
            assert mine["logprob"] == pytest.approx(other["logprob"], abs=0.05)
            assert [top["token"] for top in mine["top_logprobs"]] == [top["token"] for top in other["top_logprobs"]]


DRAWN: list[dict[str, Any]] = [
    {"samplers": ["temperature"]},
    {"samplers": ["top_k", "adaptive_p"], "adaptive_target": 0.3},
    {"samplers": ["adaptive_p", "top_p"], "adaptive_target": 0.6, "adaptive_decay": 0.5},
    {"mirostat": 2, "mirostat_tau": 3},
]
"""Draws whose every token turns on small differences: with a model in float32 they are the same."""


async def test_adapters_vectors_and_several_answers_as_the_other_scheduler(tiny: Path, tmp_path: Path) -> None:
    lora = write_tiny_lora(tmp_path / "lora.gguf", scale=3.0)
    greedy = {"messages": HELLO, "max_tokens": 12, "temperature": 0, "ignore_eos": True}
    weights: list[list[dict[str, Any]]] = [[], [{"id": 0, "scale": 1.0}], [{"id": 0, "scale": 0.5}], []]
    found: list[Any] = []
    for scheduler in ("llama.cpp", "penjing"):
        options = {"lora": (f"odd={lora}",), "embeddings": True, "max_context": 512, "parallel": 3, "kv_type": "f32"}
        async with running(tiny, scheduler=scheduler, **options) as (one, client):
            assert [name for name, _ in one.capabilities.adapters] == ["odd"]
            assert one.capabilities.embeddings
            # llama.cpp's server may go on from what a slot computed with other adapters.
            greedy["cache_prompt"] = scheduler == "penjing"
            asked = [answer(client, **greedy, lora=each) for each in weights]  # at once, each with its own
            said = [each["choices"][0]["message"]["content"] for each in await asyncio.gather(*asked)]
            drawn = [await answer(client, **{**greedy, "temperature": 1, "seed": 5, **each}) for each in DRAWN]
            said += [each["choices"][0]["message"]["content"] for each in drawn]
            several = await answer(client, **{**greedy, "temperature": 1, "seed": 5}, n=2, lora=[])
            assert {choice["index"] for choice in several["choices"]} == {0, 1}
            assert len({choice["message"]["content"] for choice in several["choices"]}) == 2
            async with client.post("/v1/embeddings", json={"input": ["a b", [70, 71], "c" * 300]}) as response:
                vectors = await response.json()
            async with client.post("/v1/embeddings", json={"input": "a b", "encoding_format": "base64"}) as response:
                coded = np.frombuffer(base64.b64decode((await response.json())["data"][0]["embedding"]), "<f4")
            found.append((said, np.array([each["embedding"] for each in vectors["data"]]), coded, vectors["usage"]))
    (theirs, vectors, coded, usage), (ours, found_vectors, found_coded, found_usage) = found
    assert ours == theirs
    assert len(set(ours)) == 3 + len(DRAWN)
    assert np.allclose(found_vectors, vectors, atol=1e-4)
    assert np.allclose(found_coded, coded, atol=1e-4)
    assert found_usage == usage


async def test_rerank_and_adapters_as_the_other_scheduler(tiny: Path, tmp_path: Path) -> None:
    ranker = write_tiny_gguf(tmp_path / "ranker.gguf", pooling=RANK)
    lora = write_tiny_lora(tmp_path / "lora.gguf", scale=3.0)
    body = {
        "query": "what is a cache",
        "documents": ["a cache", "keys and values are kept in a cache", "hello", "a cache"],
    }
    found: list[Any] = []
    for scheduler in ("llama.cpp", "penjing"):
        async with running(ranker, scheduler=scheduler, parallel=2, max_context=256) as (one, client):
            assert one.capabilities.rerank
            assert not one.capabilities.embeddings
            async with client.post("/v1/rerank", json=body) as response:
                told = await response.json()
            async with client.post("/v1/rerank", json={**body, "top_n": 2}) as response:
                two = (await response.json())["results"]
            async with client.post("/v1/embeddings", json={"input": "x"}) as response:
                refused = response.status
        scores = {each["index"]: each["relevance_score"] for each in told["results"]}
        assert [each["index"] for each in two] == [each["index"] for each in told["results"]][:2]
        options = {"lora": (f"odd={lora}", f"{lora}=0.5"), "max_context": 256, "parallel": 1}
        async with running(tiny, scheduler=scheduler, **options) as (_, client):
            async with client.get("/lora-adapters") as response:
                adapters = [(each["id"], Path(each["path"]).name, each["scale"]) for each in await response.json()]
            said = (await answer(client, messages=HELLO, max_tokens=8, temperature=0))["choices"][0]["message"]
        found.append((scores, adapters, said["content"]))
    assert refused == 400  # the other answers with its scores as vectors; the gateway refuses for both
    (theirs, *others), (ours, *mine) = found
    assert mine == others
    assert ours == {index: pytest.approx(score, abs=5e-3) for index, score in theirs.items()}
    assert len({round(score, 4) for score in ours.values()}) == 3  # of which two documents are the same


async def test_thoughts_have_their_budget(guide: Path) -> None:
    body = {"messages": QUESTION, "chat_template_kwargs": {"enable_thinking": True}, "reasoning_format": "auto"}
    async with running(guide, max_context=512) as (_, client):
        free = await answer(client, **body, temperature=0)
        bound = await answer(client, **body, temperature=0, thinking_budget_tokens=3)
        none = await events(client, messages=QUESTION, n=2, max_tokens=4, temperature=1)
    thoughts = [said["choices"][0]["message"].get("reasoning_content", "") for said in (free, bound)]
    assert len(thoughts[1]) < len(thoughts[0])
    assert bound["choices"][0]["message"]["content"]
    assert {one["choices"][0]["index"] for one in none} == {0, 1}


REFUSED: list[tuple[object, int, str]] = [
    ({"prompt": "a" * 600}, 400, "exceed_context_size_error"),
    ({"prompt": []}, 400, "prompt"),
    ({"prompt": [99999]}, 500, "99999"),
    ({"prompt": "a", "suffix": "b"}, 400, "suffix"),
    ({"prompt": "a", "samplers": ["wet"]}, 400, "samplers"),
    ({"prompt": "a", "lora": [{"id": 0}]}, 400, "lora"),
    ({"prompt": "a", "no_such_field": 1}, 400, "no_such_field"),
    ({"prompt": "a", "grammar": "root ::= nowhere"}, 400, "grammar"),
    ({"prompt": "a", "logit_bias": {"99999": 1}}, 400, "99999"),
    ([], 400, "object"),
]


async def test_many_at_once_and_what_is_refused(tiny: Path) -> None:
    async with running(tiny, parallel=3, max_context=512) as (_, client):
        asked = [answer(client, messages=HELLO, max_tokens=20, ignore_eos=True, seed=seed) for seed in range(9)]
        found = await asyncio.gather(*asked)
        assert all(said["usage"]["completion_tokens"] == 20 for said in found)
        prompt = found[0]["usage"]["prompt_tokens"]
        cached = [said["usage"]["prompt_tokens_details"]["cached_tokens"] for said in found]
        assert sorted(cached)[1:] == [prompt - 1] * 8
        for body, status, word in REFUSED:
            async with client.post("/v1/completions", json=body) as response:
                assert response.status == status
                assert word in await response.text()


async def test_a_conversation_survives_a_restart(guide: Path) -> None:
    long = [{"role": "user", "content": "What is a KV cache? " * 12}]
    async with running(guide, max_context=512) as (one, client):
        await a_stream_says_what_a_whole_answer_says(client)
        await tokens_are_counted(client)
        first = await answer(client, messages=long)
        whole = await answer(client, messages=long, cache_prompt=False)
        assert whole["usage"]["prompt_tokens_details"]["cached_tokens"] == 0
        os.kill(one.pid, signal.SIGTERM)
        await one.ended()
    async with running(guide, max_context=512) as (_, client):
        again = await answer(client, messages=long)
    assert again["choices"][0]["message"] == first["choices"][0]["message"]
    assert again["usage"]["prompt_tokens_details"]["cached_tokens"] == again["usage"]["prompt_tokens"] - 1


async def a_stream_says_what_a_whole_answer_says(client: aiohttp.ClientSession) -> None:
    whole = await answer(client, messages=QUESTION)
    found = await events(client, messages=QUESTION, stream_options={"include_usage": True})
    assert found[0]["choices"][0]["delta"] == {"role": "assistant", "content": None}
    text = "".join(one["choices"][0]["delta"].get("content") or "" for one in found[:-1])
    assert text == whole["choices"][0]["message"]["content"]
    assert found[-2]["choices"][0]["finish_reason"] == "stop"
    assert found[-1]["usage"]["completion_tokens"] == whole["usage"]["completion_tokens"]
    bare = await events(client, "/v1/completions", prompt="penjing", max_tokens=3)
    assert bare[-1]["choices"][0]["finish_reason"] == "length"
    assert bare[0]["object"] == "text_completion"


async def tokens_are_counted(client: aiohttp.ClientSession) -> None:
    said = await answer(client, messages=QUESTION, max_tokens=1)
    async with client.post("/v1/chat/completions/input_tokens", json={"messages": QUESTION}) as response:
        assert (await response.json())["input_tokens"] == said["usage"]["prompt_tokens"]
    async with client.post("/tokenize", json={"content": "What is"}) as response:
        tokens = (await response.json())["tokens"]
    async with client.post("/detokenize", json={"tokens": tokens}) as response:
        assert (await response.json())["content"] == "What is"
    called = await answer(client, messages=HELLO, max_tokens=200, tools=TOOLS, tool_choice="required", temperature=0)
    assert called["choices"][0]["finish_reason"] == "tool_calls"
    (call,) = called["choices"][0]["message"]["tool_calls"]
    assert call["function"]["name"] == "get_weather"
    assert "city" in json.loads(call["function"]["arguments"])
    async with client.post("/apply-template", json={"messages": QUESTION}) as response:
        assert "What is a KV cache?" in (await response.json())["prompt"]


def test_settings_that_cannot_be(tiny: Path) -> None:
    with pytest.raises(SettingError, match="--scheduler penjing"):
        prepare(tiny, "tiny", EngineOptions(max_cpu=50))
    with pytest.raises(SettingError, match="penjing"):
        EngineOptions(scheduler="another")
