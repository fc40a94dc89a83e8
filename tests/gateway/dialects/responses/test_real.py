"""OpenAI's own client and its Responses API against a real `penjing serve` with a real model."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, Literal

import openai
import pydantic
import pytest

from gateway.running import Process

HELLO = "Hello! What is quantization?"
TOOL: Any = {
    "type": "function",
    "name": "set_light",
    "description": "Switch a light.",
    "parameters": {
        "type": "object",
        "properties": {"state": {"type": "string", "enum": ["on", "off"]}},
        "required": ["state"],
        "additionalProperties": False,
    },
    "strict": True,
}


class Answer(pydantic.BaseModel):
    size: Literal[4, 8]


@pytest.fixture
def client(real: Process) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=real.base, api_key="EMPTY", max_retries=0) as made:
        yield made


def test_whole_and_streamed_are_the_same(client: openai.OpenAI, real: Process) -> None:
    ask: dict[str, Any] = {"model": real.model, "input": HELLO, "max_output_tokens": 24}
    whole = client.responses.create(**ask)
    with client.responses.stream(**ask) as stream:
        events = list(stream)
    streamed: Any = events[-1]
    assert whole.output_text
    assert whole.status == streamed.response.status
    assert streamed.response.output_text == whole.output_text
    assert streamed.response.usage.total_tokens == whole.usage.total_tokens  # type: ignore[union-attr]


def test_a_conversation_kept_by_the_server_is_the_one_sent_whole(client: openai.OpenAI, real: Process) -> None:
    first = client.responses.create(model=real.model, input=HELLO)
    kept = client.responses.create(model=real.model, input="Why?", previous_response_id=first.id, max_output_tokens=24)
    sent: Any = [
        {"role": "user", "content": HELLO},
        *(item.model_dump() for item in first.output),
        {"role": "user", "content": "Why?"},
    ]
    whole = client.responses.create(model=real.model, input=sent, max_output_tokens=24, store=False)
    assert kept.output_text == whole.output_text
    assert kept.usage is not None
    assert whole.usage is not None
    assert kept.usage.input_tokens == whole.usage.input_tokens
    counted = client.responses.input_tokens.count(model=real.model, input="Why?", previous_response_id=first.id)
    assert counted.input_tokens == kept.usage.input_tokens


@pytest.mark.parametrize("summary", [None, "auto"])
def test_thoughts(client: openai.OpenAI, real: Process, summary: Any) -> None:
    ask: dict[str, Any] = {"model": real.model, "input": HELLO, "reasoning": {"effort": "low", "summary": summary}}
    whole = client.responses.create(**ask)
    kinds = {event.type for event in client.responses.create(**ask, stream=True)}
    thoughts: Any = whole.output[0]
    assert thoughts.type == "reasoning"
    assert (thoughts.summary if summary else thoughts.content)[0].text
    assert whole.output[1].type == "message"
    told = "response.reasoning_summary_text.delta" if summary else "response.reasoning_text.delta"
    assert told in kinds
    silent = client.responses.create(**{**ask, "reasoning": {"effort": "none"}})
    assert [item.type for item in silent.output] == ["message"]


@pytest.mark.parametrize("choice", ["required", {"type": "function", "name": "set_light"}])
def test_a_tool_is_called_and_answered(client: openai.OpenAI, real: Process, choice: Any) -> None:
    with client.responses.stream(
        model=real.model, input="Switch the light on.", tools=[TOOL], tool_choice=choice
    ) as stream:
        pieces = [event.delta for event in stream if event.type == "response.function_call_arguments.delta"]
        answer = stream.get_final_response()
    call = answer.output[-1]
    assert call.type == "function_call"
    assert call.name == "set_light"
    assert "".join(pieces) == call.arguments
    assert json.loads(call.arguments)["state"] in ("on", "off")
    result: Any = [{"type": "function_call_output", "call_id": call.call_id, "output": "It is on."}]
    after = client.responses.create(model=real.model, input=result, tools=[TOOL], previous_response_id=answer.id)
    assert after.output


def test_the_client_parses_into_its_own_types(client: openai.OpenAI, real: Process) -> None:
    answer = client.responses.parse(model=real.model, input=HELLO, text_format=Answer)
    assert answer.output_parsed is not None
    assert answer.output_parsed.size in (4, 8)
    with client.responses.stream(model=real.model, input=HELLO, text_format=Answer) as stream:
        parsed = stream.get_final_response().output_parsed
    assert parsed is not None
    assert parsed.size in (4, 8)


def test_a_prompt_over_the_context(client: openai.OpenAI, real: Process) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        client.responses.create(model=real.model, input="word " * 3000)
    assert caught.value.code == "context_length_exceeded"


def test_langchain(client: openai.OpenAI, real: Process) -> None:
    from langchain_core.messages import HumanMessage
    from langchain_openai import ChatOpenAI

    def chat(**fields: Any) -> ChatOpenAI:
        return ChatOpenAI(
            model=real.model,
            base_url=real.base,
            api_key="EMPTY",  # type: ignore[arg-type]
            use_responses_api=True,
            root_client=client,
            client=client.chat.completions,
            **fields,
        )

    thinking = chat(reasoning={"effort": "low", "summary": "auto"})
    whole = thinking.invoke(HELLO)
    kinds = [block["type"] for block in whole.content]  # type: ignore[index]
    assert kinds == ["reasoning", "text"]
    streamed = "".join(piece.text for piece in thinking.stream(HELLO))
    assert streamed == whole.text
    first = chat(use_previous_response_id=True).invoke(HELLO)
    again = chat(use_previous_response_id=True).invoke([HumanMessage(HELLO), first, HumanMessage("Why?")])
    assert again.text
