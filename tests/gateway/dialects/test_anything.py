"""Whatever is posted is either a question that an engine can be asked, or refused with an error of the client's."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.dialects import internal
from penjing.errors import PenjingError
from penjing.gateway.ask import Ask, Endpoint
from penjing.gateway.dialects.anthropic.endpoint import Messages
from penjing.gateway.dialects.openai import wire
from penjing.gateway.dialects.openai.parse import parse
from penjing.gateway.dialects.responses.endpoint import Responses
from penjing.gateway.dialects.responses.store import Store
from penjing.gateway.reply import Incoming

MESSAGES = Messages()
RESPONSES = Responses(Store())
ANTHROPIC: dict[str, Any] = {
    "model": "m",
    "max_tokens": 5,
    "system": [{"type": "text", "text": "s", "cache_control": {"type": "ephemeral"}}],
    "messages": [
        {"role": "user", "content": [{"type": "image", "source": {"type": "url", "url": "u"}}]},
        {"role": "assistant", "content": [{"type": "tool_use", "id": "a", "name": "f", "input": {"x": [1]}}]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "a", "content": "r", "is_error": True}]},
    ],
    "tools": [{"name": "f", "input_schema": {"type": "object"}}],
    "tool_choice": {"type": "tool", "name": "f"},
    "thinking": {"type": "enabled", "budget_tokens": 9},
    "output_config": {"effort": "low", "format": {"type": "json_schema", "schema": {}}},
    "stop_sequences": ["s"],
    "stream": True,
}
ITEMS: dict[str, Any] = {
    "model": "m",
    "input": [
        {"role": "user", "content": [{"type": "input_image", "image_url": "data:image/png;base64,AA=="}]},
        {"type": "reasoning", "id": "r", "summary": [{"type": "summary_text", "text": "t"}]},
        {"type": "function_call", "call_id": "a", "name": "f", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "a", "output": [{"type": "input_text", "text": "r"}]},
    ],
    "tools": [{"type": "function", "name": "f", "parameters": {}}],
    "tool_choice": {"type": "allowed_tools", "mode": "auto", "tools": [{"type": "function", "name": "f"}]},
    "reasoning": {"effort": "low", "summary": "auto"},
    "text": {"format": {"type": "json_schema", "name": "n", "schema": {}}, "verbosity": "medium"},
    "include": ["reasoning.encrypted_content"],
    "max_output_tokens": 5,
    "previous_response_id": None,
}
BOTH = pytest.mark.parametrize(("endpoint", "sound"), [(MESSAGES, ANTHROPIC), (RESPONSES, ITEMS)])


def places(value: Any) -> list[tuple[Any, Any]]:
    """Every container in `value` with each of its keys."""
    keys = list(value) if isinstance(value, dict) else list(range(len(value))) if isinstance(value, list) else []
    return [(value, key) for key in keys] + [place for key in keys for place in places(value[key])]


def answered(endpoint: Endpoint, body: bytes) -> None:
    """Ask and begin an answer; only a client's error may come of it."""
    incoming = Incoming("POST", endpoint.path, body=body)
    try:
        parse(endpoint.asked(incoming, ""), wire.ChatBody)
        ask = Ask(endpoint, incoming)
        ask.target = "m"
        endpoint.writer(ask).write(b": nothing\n\n")
    except PenjingError as error:
        refused = error
    else:
        return
    status, said = endpoint.refusal(refused)
    assert 400 <= status == refused.status < 500, refused
    assert json.loads(said)["error"]["message"]


@BOTH
def test_the_sound_ones_are_sound(endpoint: Endpoint, sound: dict[str, Any]) -> None:
    asked = endpoint.asked(Incoming("POST", endpoint.path, body=json.dumps(sound).encode()), "")
    assert parse(asked, wire.ChatBody).messages


@BOTH
@given(data=st.data())
def test_one_value_is_another(endpoint: Endpoint, sound: dict[str, Any], data: st.DataObject) -> None:
    body = copy.deepcopy(sound)
    for _ in range(data.draw(st.integers(1, 3))):
        every = places(body)
        container, key = every[data.draw(st.integers(0, len(every) - 1))] if every else ([None], 0)
        others = [other[name] for other, name in places(sound)]
        container[key] = copy.deepcopy(data.draw(st.one_of(internal.values, st.sampled_from(others))))
    answered(endpoint, json.dumps(body).encode())


@BOTH
@given(body=st.one_of(st.binary(max_size=50), internal.values.map(json.dumps).map(str.encode)))
def test_anything_at_all(endpoint: Endpoint, sound: dict[str, Any], body: bytes) -> None:
    answered(endpoint, body)


@BOTH
@pytest.mark.parametrize("place", ["schema", "arguments"])
def test_nested_to_where_it_cannot_be_read(endpoint: Endpoint, sound: dict[str, Any], place: str) -> None:
    text = json.dumps(sound)
    where = {"schema": ['"input_schema": {', '"parameters": {'], "arguments": ['"input": {"x": [']}[place]
    marks = [mark for mark in where if mark in text]
    for depth in range(100, 1100, 7):
        for mark in marks:
            deep = "[" * depth + "1" + "]" * depth
            inner = (
                f"{deep}, " if mark.endswith("[") else f'"y": {deep}' + ("" if text.split(mark)[1][0] == "}" else ", ")
            )
            answered(endpoint, text.replace(mark, mark + inner).encode())
