"""The smallest client."""

from __future__ import annotations

import json
from typing import Any

import httpx
from hypothesis import given
from hypothesis import strategies as st

from gateway.running import Process, Serving
from penjing.engines.fake import Script
from penjing.gateway.dialects.simple.dialect import Asked, request

words = st.text(st.characters(codec="utf-8"), max_size=30)


async def test_a_prompt_in_an_answer_out(serving: Serving) -> None:
    async with serving() as running:
        status, said = await running.post("/chat", {"prompt": "hi", "max_length": 30})
        assert (status, said) == (200, {"response": "Hello, world!"})
        assert running.engine.requests[0].body["max_tokens"] == 30


async def test_a_history_comes_back_longer(serving: Serving) -> None:
    async with serving() as running:
        _, said = await running.post("/chat", {"prompt": "and?", "history": [["hi", "ho"]]})
        assert said["history"] == [["hi", "ho"], ["and?", "Hello, world!"]]
        assert said["status"] == 200
        roles = [message["role"] for message in running.engine.requests[0].body["messages"]]
        assert roles == ["user", "assistant", "user"]


async def test_a_stream_is_lines(serving: Serving) -> None:
    async with serving() as running, running.client.post("/chat", json={"prompt": "hi", "stream": True}) as answer:
        assert answer.content_type == "application/x-ndjson"
        lines = [json.loads(line) for line in (await answer.text()).splitlines()]
    assert "".join(line["response"] for line in lines) == "Hello, world!"
    assert lines[-1]["done"]


async def test_errors_are_one_sentence(serving: Serving) -> None:
    async with serving(Script(status=500)) as running:
        for body, wanted in (
            ({}, 400),
            ({"prompt": 3}, 400),
            ({"prompt": "a", "promt": "b"}, 400),
            ({"prompt": "a"}, 502),
        ):
            status, said = await running.post("/chat", body)
            assert status == wanted, said
            assert isinstance(said["error"], str)
        status, said = await running.post("/chat", {"prompt": "a", "max_lenght": 3})
        assert "max_length" in said["error"]


async def test_a_stream_that_breaks_ends_with_the_error(serving: Serving) -> None:
    async with serving(Script(die_after=2)) as running:
        async with running.client.post("/chat", json={"prompt": "hi", "stream": True}) as answer:
            lines = [json.loads(line) for line in (await answer.text()).splitlines()]
        assert isinstance(lines[-1]["error"], str)


def test_the_guide_answers_it(real: Process) -> None:
    said = httpx.post(f"{real.url}/chat", json={"prompt": "What is quantization?", "max_length": 60}, timeout=60).json()
    assert "bits" in said["response"]


@given(words, st.lists(st.tuples(words, words), max_size=3), st.none() | st.integers(1, 99))
def test_nothing_is_lost(prompt: str, history: list[tuple[str, str]], longest: int | None) -> None:
    made = request(Asked(prompt=prompt, history=history, max_length=longest))
    said: list[Any] = [(message.role, message.text) for message in made.messages]
    wanted = [turn for question, answer in history for turn in (("user", question), ("assistant", answer))]
    assert said == [*wanted, ("user", prompt)]
    assert made.sampling.max_tokens == longest
