"""Anthropic's own client against a real `penjing serve` with a real model."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, Literal

import anthropic
import pydantic
import pytest

from gateway.running import Process

HELLO: Any = [{"role": "user", "content": "Hello! What is quantization?"}]
TOOL: Any = {
    "name": "set_light",
    "description": "Switch a light.",
    "input_schema": {
        "type": "object",
        "properties": {"state": {"type": "string", "enum": ["on", "off"]}},
        "required": ["state"],
        "additionalProperties": False,
    },
}


@pytest.fixture
def client(real: Process) -> Iterator[anthropic.Anthropic]:
    with anthropic.Anthropic(base_url=real.url, api_key="EMPTY", max_retries=0) as made:
        yield made


def said(message: Any) -> Any:
    return message.model_dump(exclude_none=True)["content"]


def test_whole_and_streamed_are_the_same(client: anthropic.Anthropic, real: Process) -> None:
    ask: dict[str, Any] = {"model": real.model, "max_tokens": 24, "messages": HELLO}
    whole = client.messages.create(**ask)
    with client.messages.stream(**ask) as stream:
        kinds = {event.type for event in stream}
        streamed = stream.get_final_message()
    assert whole.content[0].type == "text"
    assert said(whole) == said(streamed)
    assert whole.usage.output_tokens == streamed.usage.output_tokens <= 24
    assert {"message_start", "content_block_start", "content_block_stop", "message_delta", "message_stop"} <= kinds


def test_the_count_is_what_the_engine_reads(client: anthropic.Anthropic, real: Process) -> None:
    ask: dict[str, Any] = {"model": real.model, "system": "Be brief.", "messages": HELLO, "tools": [TOOL]}
    counted = client.messages.count_tokens(**ask)
    usage = client.messages.create(**ask, max_tokens=1).usage
    assert counted.input_tokens == usage.input_tokens + (usage.cache_read_input_tokens or 0)
    longer: Any = [{"role": "user", "content": "word " * 3000}]
    assert client.messages.count_tokens(model=real.model, messages=longer).input_tokens > 3000


@pytest.mark.parametrize("display", ["summarized", "omitted"])
def test_thinking(client: anthropic.Anthropic, real: Process, display: Any) -> None:
    ask: dict[str, Any] = {
        "model": real.model,
        "max_tokens": 100,
        "messages": HELLO,
        "thinking": {"type": "adaptive", "display": display},
    }
    whole = client.messages.create(**ask)
    with client.messages.stream(**ask) as stream:
        deltas = [event.delta.type for event in stream if event.type == "content_block_delta"]
        streamed = stream.get_final_message()
    kinds = ["thinking", "text"] if display == "summarized" else ["text"]
    assert [block.type for block in whole.content] == kinds
    assert said(whole) == said(streamed)
    assert ("signature_delta" in deltas) == (display == "summarized")
    again: Any = [*HELLO, whole.to_param(), {"role": "user", "content": "Go on."}]
    assert client.messages.create(**{**ask, "messages": again}).content


@pytest.mark.parametrize("choice", [{"type": "any"}, {"type": "tool", "name": "set_light"}])
def test_a_tool_is_called_and_answered(client: anthropic.Anthropic, real: Process, choice: Any) -> None:
    turns: Any = [{"role": "user", "content": "Switch the light on."}]
    ask: dict[str, Any] = {"model": real.model, "max_tokens": 200, "tools": [TOOL]}
    with client.messages.stream(**ask, messages=turns, tool_choice=choice) as stream:
        pieces = [event.partial_json for event in stream if event.type == "input_json"]
        message = stream.get_final_message()
    call = message.content[-1]
    assert call.type == "tool_use"
    assert call.name == "set_light"
    assert json.loads("".join(pieces)) == call.input
    assert call.input["state"] in ("on", "off")
    assert message.stop_reason == "tool_use"
    result = {"type": "tool_result", "tool_use_id": call.id, "content": [{"type": "text", "text": "It is on."}]}
    turns += [message.to_param(), {"role": "user", "content": [result]}]
    assert client.messages.create(**ask, messages=turns).content


def test_a_json_schema_is_kept(client: anthropic.Anthropic, real: Process) -> None:
    schema = {
        "type": "object",
        "properties": {"size": {"enum": [4, 8]}},
        "required": ["size"],
        "additionalProperties": False,
    }
    message = client.messages.create(
        model=real.model,
        max_tokens=100,
        messages=HELLO,
        output_config={"format": {"type": "json_schema", "schema": schema}},
    )
    assert message.content[0].type == "text"
    assert json.loads(message.content[0].text)["size"] in (4, 8)


def test_the_client_parses_into_its_own_types(client: anthropic.Anthropic, real: Process) -> None:
    class Answer(pydantic.BaseModel):
        size: Literal[4, 8]

    message = client.messages.parse(model=real.model, max_tokens=100, messages=HELLO, output_format=Answer)
    assert message.parsed_output is not None
    assert message.parsed_output.size in (4, 8)


def test_an_answer_that_was_begun_goes_on_from_there(client: anthropic.Anthropic, real: Process) -> None:
    begun: Any = [*HELLO, {"role": "assistant", "content": "Quantization stores each weight"}]
    message = client.messages.create(model=real.model, max_tokens=8, messages=begun)
    assert message.content[0].type == "text"
    assert "Quantization stores" not in message.content[0].text


def test_stop_sequences(client: anthropic.Anthropic, real: Process) -> None:
    whole = client.messages.create(model=real.model, max_tokens=24, messages=HELLO)
    assert whole.content[0].type == "text"
    text = whole.content[0].text
    stop = text[len(text) // 2 :][:2]
    cut = client.messages.create(model=real.model, max_tokens=24, messages=HELLO, stop_sequences=[stop])
    assert cut.content[0].type == "text"
    assert cut.content[0].text == text[: text.index(stop)]


def test_a_prompt_over_the_context(client: anthropic.Anthropic, real: Process) -> None:
    with pytest.raises(anthropic.BadRequestError, match="1024") as caught:
        client.messages.create(model=real.model, max_tokens=1, messages=[{"role": "user", "content": "word " * 3000}])
    assert caught.value.body["error"]["type"] == "invalid_request_error"  # type: ignore[index,call-overload]


def test_a_budget_ends_the_thinking(client: anthropic.Anthropic, real: Process) -> None:
    def thought(budget: int) -> str:
        message = client.messages.create(
            model=real.model,
            max_tokens=100,
            messages=HELLO,
            thinking={"type": "enabled", "budget_tokens": budget},
        )
        assert message.content[0].type == "thinking"
        assert message.content[1].type == "text"
        return message.content[0].thinking

    assert len(thought(3)) < len(thought(1000))
    assert thought(1000).startswith(thought(3))
