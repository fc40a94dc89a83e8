"""text-generation-webui's clients, with all that they send."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from gateway.running import Process, Serving
from penjing.engines.fake import Script

EXAMPLE: dict[str, Any] = {
    "max_new_tokens": 250,
    "auto_max_new_tokens": False,
    "max_tokens_second": 0,
    "preset": "None",
    "do_sample": True,
    "temperature": 0.7,
    "top_p": 0.1,
    "typical_p": 1,
    "epsilon_cutoff": 0,
    "eta_cutoff": 0,
    "tfs": 1,
    "top_a": 0,
    "repetition_penalty": 1.18,
    "repetition_penalty_range": 0,
    "top_k": 40,
    "min_length": 0,
    "no_repeat_ngram_size": 0,
    "num_beams": 1,
    "penalty_alpha": 0,
    "length_penalty": 1,
    "early_stopping": False,
    "mirostat_mode": 0,
    "mirostat_tau": 5,
    "mirostat_eta": 0.1,
    "grammar_string": "",
    "guidance_scale": 1,
    "negative_prompt": "",
    "seed": -1,
    "add_bos_token": True,
    "truncation_length": 2048,
    "ban_eos_token": False,
    "custom_token_bans": "",
    "skip_special_tokens": True,
    "stopping_strings": [],
}
"""What its example client sends with every question."""
TALK: dict[str, Any] = {
    **EXAMPLE,
    "user_input": "and?",
    "history": {
        "internal": [["<|BEGIN-VISIBLE-CHAT|>", "Welcome."], ["hi", "ho"]],
        "visible": [["", "Welcome."], ["hi", "ho"]],
    },
    "mode": "instruct",
    "character": "Example",
    "instruction_template": "Vicuna-v1.1",
    "your_name": "You",
    "regenerate": False,
    "_continue": False,
    "chat-instruct_command": "Continue.",
    "stop_at_newline": False,
    "chat_generation_attempts": 1,
}


async def test_a_text(serving: Serving) -> None:
    async with serving() as running:
        status, said = await running.post("/api/v1/generate", {**EXAMPLE, "prompt": "Once"})
        assert (status, said) == (200, {"results": [{"text": "Hello, world!"}]})
        asked = running.engine.requests[0].body
        assert (asked["prompt"], asked["max_tokens"], asked["repeat_penalty"]) == ("Once", 250, 1.18)
        assert "seed" not in asked
        assert "mirostat" not in asked


async def test_a_conversation(serving: Serving) -> None:
    async with serving() as running:
        status, said = await running.post("/api/v1/chat", TALK)
        assert status == 200, said
        (result,) = said["results"]
        assert result["history"]["internal"][-1] == ["and?", "Hello, world!"]
        assert result["history"]["visible"][:2] == TALK["history"]["visible"]
        turns = [(turn["role"], turn["content"]) for turn in running.engine.requests[0].body["messages"]]
        assert turns == [("assistant", "Welcome."), ("user", "hi"), ("assistant", "ho"), ("user", "and?")]


async def test_again(serving: Serving) -> None:
    async with serving() as running:
        _, said = await running.post("/api/v1/chat", {**TALK, "regenerate": True})
        assert said["results"][0]["history"]["internal"][-1] == ["hi", "Hello, world!"]
        status, said = await running.post("/api/v1/chat", {**TALK, "regenerate": True, "history": {}})
        assert status == 400
        assert "regenerate" in said["error"]["message"]


@pytest.mark.parametrize(
    ("name", "value"),
    [("num_beams", 4), ("tfs", 0.9), ("preset", "Divine Intellect"), ("add_bos_token", False), ("guidance_scale", 1.5)],
)
async def test_what_no_engine_has_is_refused_by_name(serving: Serving, name: str, value: Any) -> None:
    async with serving() as running:
        status, said = await running.post("/api/v1/generate", {**EXAMPLE, "prompt": "Once", name: value})
        assert status == 400
        assert name in said["error"]["message"]
        status, said = await running.post("/api/v1/chat", {**TALK, "mode": "chat", "character": "Bob"})
        assert "character" in said["error"]["message"]


async def test_a_stream(serving: Serving) -> None:
    async with serving() as running:
        for path, body in (("/api/v1/stream", {"prompt": "Once"}), ("/api/v1/chat-stream", {"user_input": "hi"})):
            async with running.client.post(path, json=body) as answer:
                lines = [json.loads(line) for line in (await answer.text()).splitlines()]
            assert [line["message_num"] for line in lines] == list(range(len(lines)))
            assert lines[-1]["event"] == "stream_end"
            if path == "/api/v1/stream":
                assert "".join(line["text"] for line in lines[:-1]) == "Hello, world!"
            else:
                assert lines[-2]["history"]["visible"] == [["hi", "Hello, world!"]]


async def test_a_stream_that_breaks(serving: Serving) -> None:
    async with serving(Script(die_after=2)) as running:
        async with running.client.post("/api/v1/stream", json={"prompt": "Once"}) as answer:
            lines = [json.loads(line) for line in (await answer.text()).splitlines()]
        assert lines[-1]["error"]["code"] == "engine_died"


async def test_the_model(serving: Serving) -> None:
    async with serving() as running:
        assert await running.get("/api/v1/model") == (200, {"result": "fake"})
        assert await running.post("/api/v1/model", {"action": "list"}) == (200, {"result": ["fake"]})
        assert await running.post("/api/v1/model", {}) == (200, {"result": "fake"})
        status, said = await running.post("/api/v1/model", {"action": "load", "model_name": "other"})
        assert status == 400
        assert "error" in said


def test_with_the_guide(real: Process) -> None:
    def post(path: str, body: dict[str, Any]) -> Any:
        return httpx.post(f"{real.url}/api/v1/{path}", json=body, timeout=60).json()

    said = post("chat", {"user_input": "What is quantization?", "do_sample": False, "max_new_tokens": 60})
    assert "bits" in said["results"][0]["history"]["internal"][0][1]
    (count,) = post("token-count", {"prompt": "What is quantization?"})["results"]
    assert 3 <= count["tokens"] <= 12
    assert post("generate", {"prompt": "one two", "max_new_tokens": 4})["results"][0]["text"]
