"""OpenVINO itself with the guide: the same answers as llama.cpp, through the same HTTP."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from engines.clients import answer, connected, until
from penjing.engines.llamacpp import EngineOptions, LlamaCpp
from penjing.engines.openvino.engine import OpenVino

pytestmark = pytest.mark.extras
QUESTIONS = ("What is quantization?", "什么是量化？", "How do I serve a model?", "怎样启动服务器？")


def asked(question: str, **more: Any) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": question}], "temperature": 0, "max_tokens": 48, **more}


@pytest.fixture
async def client(guide: Path) -> AsyncIterator[aiohttp.ClientSession]:
    engine = OpenVino(guide, "guide", EngineOptions(threads=1, parallel=2))
    await engine.start()
    try:
        async with connected(engine.address) as session:
            yield session
    finally:
        await engine.stop()


def text(said: dict[str, Any]) -> str:
    return str(said["choices"][0]["message"]["content"])


async def test_the_same_answers_as_llama_cpp_also_together(client: aiohttp.ClientSession, guide: Path) -> None:
    other = LlamaCpp(guide, "guide", EngineOptions(threads=1, parallel=1))
    await other.start()
    try:
        async with connected(other.address) as session:
            wanted = [text(await answer(session, **asked(question))) for question in QUESTIONS]
    finally:
        await other.stop()
    found = await asyncio.gather(*(answer(client, **asked(question)) for question in QUESTIONS))
    assert [text(each) for each in found] == wanted
    assert found[0]["usage"]["completion_tokens"] > 0


async def test_a_stream_stops_at_stop_strings(client: aiohttp.ClientSession) -> None:
    whole = text(await answer(client, **asked(QUESTIONS[0])))
    word = whole.split()[4]
    body = asked(QUESTIONS[0], stop=[word], stream=True, stream_options={"include_usage": True})
    async with client.post("/v1/chat/completions", json=body) as response:
        lines = [line.decode() async for line in response.content if line.strip()]
    events = [json.loads(line.removeprefix("data: ")) for line in lines[:-1]]
    said = "".join(each["choices"][0]["delta"].get("content") or "" for each in events if each["choices"])
    assert said == whole[: whole.index(word)]
    assert lines[-1].strip() == "data: [DONE]"
    assert [each["choices"][0]["finish_reason"] for each in events if each["choices"]][-1] == "stop"


async def test_the_same_seed_draws_the_same_words_and_who_leaves_stops(client: aiohttp.ClientSession) -> None:
    body = asked("Tell me something.", temperature=1.5, seed=7, max_tokens=12)
    first, second = [text(await answer(client, **body)) for _ in range(2)]
    assert first == second
    body = asked("Count.", ignore_eos=True, max_tokens=900, stream=True)
    async with client.post("/v1/chat/completions", json=body) as response:
        await response.content.readany()

    async def busy() -> list[dict[str, Any]]:
        async with client.get("/slots") as answered:
            return list(await answered.json())

    await until(busy, lambda slots: not any(slot["is_processing"] for slot in slots))
    assert text(await answer(client, **asked(QUESTIONS[0])))


REFUSED: tuple[tuple[dict[str, Any], str], ...] = (
    ({"logprobs": True}, "logprobs"),
    ({"response_format": {"type": "json_object"}}, "response_format"),
    ({"logit_bias": {"5": 1}}, "logit_bias"),
    ({"typical_p": 0.5}, "typical_p"),
)


async def test_what_it_cannot_is_refused_by_name(client: aiohttp.ClientSession) -> None:
    for more, named in REFUSED:
        async with client.post("/v1/chat/completions", json=asked("Hello", **more)) as response:
            assert response.status == 400
            assert named in (await response.json())["error"]["message"]
    async with client.post("/v1/chat/completions", json=asked("word " * 3000)) as response:
        assert response.status == 400
        assert (await response.json())["error"]["type"] == "exceed_context_size_error"
