"""A whole answer put together from a stream is the one the engine would have given."""

from __future__ import annotations

import threading
from typing import Any

import httpx
import msgspec
import pytest

from gateway.running import Process, eventually, worker_socket
from penjing.gateway.whole import Pieces

HELLO = [{"role": "user", "content": "What is a KV cache?"}]
TOOL = {
    "type": "function",
    "function": {
        "name": "look",
        "parameters": {"type": "object", "properties": {"of": {"enum": ["a", "b"]}}, "required": ["of"]},
    },
}
BODIES: tuple[tuple[str, dict[str, Any]], ...] = (
    ("chat/completions", {"messages": HELLO, "max_tokens": 20}),
    ("chat/completions", {"messages": HELLO, "max_tokens": 8, "logprobs": True, "top_logprobs": 2}),
    ("chat/completions", {"messages": HELLO, "enable_thinking": True, "return_reasoning": True, "max_tokens": 60}),
    ("chat/completions", {"messages": HELLO, "tools": [TOOL], "tool_choice": "required"}),
    ("chat/completions", {"messages": HELLO, "max_tokens": 8, "stop": [" "]}),
    ("completions", {"prompt": "The KV cache", "max_tokens": 9}),
)
TRANSLATED = {
    "enable_thinking": {"chat_template_kwargs": {"enable_thinking": True}},
    "return_reasoning": {"reasoning_format": "auto"},
}
"""Switches of penjing in the engine's words."""


def shape(answer: dict[str, Any]) -> dict[str, Any]:
    """`answer` without what differs from call to call."""
    for choice in answer["choices"]:
        for call in choice.get("message", {}).get("tool_calls", ()):
            call.pop("id")
    return {key: value for key, value in answer.items() if key not in ("id", "created", "timings")}


@pytest.mark.parametrize(("path", "body"), BODIES)
def test_it_is_what_the_engine_says_at_once(real: Process, path: str, body: dict[str, Any]) -> None:
    body = {"model": real.model, "temperature": 0, "seed": 1, "cache_prompt": False, **body}
    direct: dict[str, Any] = {}
    for name, value in body.items():
        direct |= TRANSLATED.get(name, {name: value})
    with httpx.Client(transport=httpx.HTTPTransport(uds=worker_socket(real)), timeout=60) as engine:
        expected = engine.post(f"http://engine/v1/{path}", json=direct).json()
    assert shape(httpx.post(f"{real.base}/{path}", json=body, timeout=60).json()) == shape(expected)


def test_a_client_that_leaves_is_noticed_beside_other_traffic(real: Process) -> None:
    """llama.cpp alone would go on with the answer nobody waits for as long as others get theirs."""
    endless = {"model": real.model, "messages": HELLO, "max_tokens": 100_000, "ignore_eos": True}
    done = threading.Event()

    def others() -> None:
        while not done.is_set():
            body = {"model": real.model, "messages": HELLO, "max_tokens": 4}
            httpx.post(f"{real.base}/chat/completions", json=body, timeout=60)

    traffic = threading.Thread(target=others)
    traffic.start()
    try:
        with pytest.raises(httpx.ReadTimeout):
            httpx.post(f"{real.base}/chat/completions", json=endless, timeout=1)
        eventually(lambda: longest(real) < 100, "the engine stops")
    finally:
        done.set()
        traffic.join()


def longest(real: Process) -> int:
    """Tokens of the longest answer being written."""
    with httpx.Client(transport=httpx.HTTPTransport(uds=worker_socket(real)), timeout=60) as engine:
        slots = engine.get("http://engine/slots").json()
    return max((slot["next_token"][0]["n_decoded"] for slot in slots if slot["is_processing"]), default=0)


def test_pieces_of_tool_calls_are_joined_in_order() -> None:
    def event(**delta: Any) -> dict[str, Any]:
        return {"object": "chat.completion.chunk", "choices": [{"index": 0, "delta": delta}]}

    pieces = Pieces()
    pieces.add(event(role="assistant", content=None))
    pieces.add(event(tool_calls=[{"index": 1, "id": "b", "function": {"name": "g", "arguments": ""}}]))
    pieces.add(event(tool_calls=[{"index": 0, "id": "a", "function": {"name": "f", "arguments": '{"x"'}}]))
    pieces.add(event(tool_calls=[{"index": 0, "function": {"arguments": ": 1}"}}]))
    pieces.add(
        {"choices": [{"index": 0, "delta": {}, "finish_reason": "tool_calls"}], "usage": {"completion_tokens": 3}}
    )
    answer = msgspec.json.decode(msgspec.json.encode(pieces.together()))
    assert answer["object"] == "chat.completion"
    assert answer["usage"] == {"completion_tokens": 3}
    (choice,) = answer["choices"]
    assert choice["finish_reason"] == "tool_calls"
    assert choice["message"]["content"] is None
    assert [call["function"] for call in choice["message"]["tool_calls"]] == [
        {"name": "f", "arguments": '{"x": 1}'},
        {"name": "g", "arguments": ""},
    ]
