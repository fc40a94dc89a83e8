"""Every internal message that the Responses API can express comes back from it as it was; answers say the same whole
and streamed."""

from __future__ import annotations

import base64
import json
from itertools import pairwise
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from openai.types.responses import Response, ResponseStreamEvent
from pydantic import TypeAdapter

from gateway.dialects import internal
from penjing.gateway.dialects.hosted import parsed
from penjing.gateway.dialects.openai.convert import whole as openai_whole
from penjing.gateway.dialects.responses import convert, items, wire
from penjing.gateway.dialects.responses.said import Echo
from penjing.gateway.dialects.responses.store import Store
from penjing.gateway.dialects.responses.writer import Writer
from penjing.messages import Completion, Image, Message, Part, Request, Sampling, Text

EVENT: TypeAdapter[Any] = TypeAdapter(ResponseStreamEvent)


def part(said: Part, kind: str = "input_text") -> dict[str, Any]:
    if isinstance(said, Text):
        return {"type": kind, "text": said.text}
    assert isinstance(said, Image)
    data = base64.b64encode(said.data).decode()
    detail = {"detail": said.detail} if said.detail else {}
    return {"type": "input_image", "image_url": said.url or f"data:{said.media_type};base64,{data}", **detail}


def flat(message: Message) -> list[dict[str, Any]]:
    """A turn as items."""
    if message.role == "tool":
        output = [part(each) for each in message.parts]
        return [{"type": "function_call_output", "call_id": message.tool_call_id, "output": output}]
    if message.role != "assistant":
        return [{"role": message.role, "content": [part(each) for each in message.parts]}]
    said: list[dict[str, Any]] = []
    if message.reasoning:
        content = [{"type": "reasoning_text", "text": message.reasoning}]
        said.append({"type": "reasoning", "id": "rs_1", "summary": [], "content": content})
    if message.parts or not (message.reasoning or message.tool_calls):
        content = [part(each, "output_text") for each in message.parts]
        said.append({"type": "message", "id": "msg_1", "role": "assistant", "status": "completed", "content": content})
    said += [
        {"type": "function_call", "call_id": call.id, "name": call.name, "arguments": call.arguments}
        for call in message.tool_calls
    ]
    return said


def body(request: Request) -> bytes:
    """`request` as clients of the Responses API say it."""
    messages = request.messages
    said: dict[str, Any] = {
        "model": request.model,
        "input": [item for message in messages for item in flat(message)],
        "tool_choice": request.tool_choice,
        "parallel_tool_calls": request.parallel_tool_calls,
        "temperature": request.sampling.temperature,
        "top_p": request.sampling.top_p,
        "max_output_tokens": request.sampling.max_tokens,
        "stream": request.stream,
        "user": request.user,
        "tools": [
            {
                "type": "function",
                "name": tool.name,
                "description": tool.description,
                "parameters": tool.parameters,
                "strict": tool.strict,
            }
            for tool in request.tools
        ],
    }
    if request.tool_choice not in ("auto", "none", "required"):
        said["tool_choice"] = {"type": "function", "name": request.tool_choice}
    if request.schema == {}:
        said["text"] = {"format": {"type": "json_object"}}
    elif request.schema is not None:
        said["text"] = {"format": {"type": "json_schema", "name": "a", "schema": request.schema}}
    if request.thinking is False:
        said["reasoning"] = {"effort": "none"}
    elif request.return_reasoning:
        effort = "medium" if request.thinking else None
        said["reasoning"] = {"effort": request.sampling.extra.get("reasoning_effort", effort)}
    return json.dumps(said).encode()


@st.composite
def requests(draw: st.DrawFn) -> Request:
    stream = draw(st.booleans())
    effort = draw(st.sampled_from([None, "none", "low", "high"]))
    sampling = draw(internal.samplings)
    extra = {"reasoning_effort": effort} if effort not in (None, "none") else {}
    return Request(
        model=draw(internal.words),
        messages=draw(internal.conversations.filter(lambda said: not adjacent(said))),
        tools=draw(internal.tuples(internal.tools)),
        tool_choice=draw(st.sampled_from(["auto", "required", "none", "look"])),
        parallel_tool_calls=draw(st.sampled_from([None, True, False])),
        schema=draw(st.one_of(st.none(), internal.objects)),
        sampling=Sampling(
            temperature=sampling.temperature, top_p=sampling.top_p, max_tokens=sampling.max_tokens, extra=extra
        ),
        stream=stream,
        include_usage=stream,
        thinking=False if effort == "none" else None,
        return_reasoning=True if extra else None,
        user=draw(st.one_of(st.just(""), internal.words)),
    )


def adjacent(messages: tuple[Message, ...]) -> bool:
    """Whether two turns of the model's follow each other: as items they are one."""
    roles = [message.role for message in messages]
    return any(pair == ("assistant", "assistant") for pair in pairwise(roles))


@given(requests())
def test_what_can_be_expressed_comes_back(request: Request) -> None:
    asked = parsed(body(request), wire.ResponsesBody, wire.OWN)
    assert convert.request(asked, items.own(asked, Store(), "")) == request


@given(requests())
def test_what_is_kept_is_what_was_said(request: Request) -> None:
    asked = parsed(body(request), wire.ResponsesBody, wire.OWN)
    store = Store()
    items.keeper(asked, store, "k", local=False)("resp_1", b'{"output":[]}')
    assert tuple(convert.turns(store.history("k", "resp_1"))) == request.messages


@given(internal.streams(), st.booleans())
def test_a_stream_says_what_the_whole_says(made: tuple[Completion, list[bytes]], summed: bool) -> None:
    completion, events = made
    asked = wire.ResponsesBody(reasoning=wire.Reasoning(summary="auto") if summed else None)
    kept: list[bytes] = []
    writer = Writer(asked, Echo(), "m", lambda id, response: kept.append(response))
    said = internal.payloads(b"".join([*map(writer.write, events), writer.end()]))
    assert [each["sequence_number"] for each in said] == list(range(len(said)))
    for each in said:
        EVENT.validate_python(each)
    streamed = said[-1]["response"]
    whole = json.loads(Writer(asked, Echo(), "m", lambda id, response: None).whole(openai_whole(completion, "x")))
    Response.model_validate(whole)
    assert json.loads(kept[0]) == streamed
    assert timeless(streamed) == timeless(whole)
    assert [each["item"] for each in said if each["type"] == "response.output_item.done"] == streamed["output"]
    check_deltas(said)
    (choice,) = completion.choices
    answer = [item for item in streamed["output"] if item["type"] == "message"]
    assert "".join(piece["text"] for item in answer for piece in item["content"]) == choice.message.text


def timeless(said: Any) -> Any:
    """Without what differs between two answers that say the same."""
    if isinstance(said, dict):
        return {
            name: timeless(value) for name, value in said.items() if name not in ("id", "created_at", "completed_at")
        }
    return [timeless(each) for each in said] if isinstance(said, list) else said


def check_deltas(said: list[dict[str, Any]]) -> None:
    """The pieces of each item are what it is at the end."""
    pieces: dict[str, str] = {}
    for event in said:
        if event["type"].endswith(".delta"):
            pieces[event["item_id"]] = pieces.get(event["item_id"], "") + event["delta"]
        elif event["type"].endswith((".text.done", "_text.done", "_arguments.done")):
            assert pieces.get(event["item_id"], "") == event.get("text", event.get("arguments"))


@given(internal.streams())
def test_an_answer_goes_into_the_next_question_as_it_was(made: tuple[Completion, list[bytes]]) -> None:
    completion, _ = made
    kept: list[bytes] = []
    Writer(wire.ResponsesBody(), Echo(), "m", lambda id, response: kept.append(response)).whole(
        openai_whole(completion, "x")
    )
    store = Store()
    store.put("k", "resp_1", kept[0], (), "", False)
    (choice,) = completion.choices
    said = choice.message
    expected = (said,) if said.parts or said.reasoning or said.tool_calls else ()
    assert tuple(convert.turns(store.history("k", "resp_1"))) == expected


def test_several_answers_in_a_row_stay_several() -> None:
    said = [wire.Item(role="assistant", content=text) for text in ("one", "two")]
    assert [message.text for message in convert.turns(said)] == ["one", "two"]


def test_thoughts_after_words_begin_a_turn() -> None:
    thought = wire.Item(type="reasoning", summary=[wire.SummaryText("hm")])
    call = wire.Item(type="function_call", call_id="a", name="look", arguments="{}")
    said = [wire.Item(role="assistant", content="one"), thought, call, wire.Item(role="assistant", content="two")]
    turns = list(convert.turns(said))
    assert [(turn.text, turn.reasoning, len(turn.tool_calls)) for turn in turns] == [
        ("one", "", 0),
        ("", "hm", 1),
        ("two", "", 0),
    ]
