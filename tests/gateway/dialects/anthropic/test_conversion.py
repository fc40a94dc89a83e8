"""Every internal message that Anthropic's dialect can express comes back from it as it was; answers say the same whole
and streamed."""

from __future__ import annotations

import base64
import json
from typing import Any, get_args

import pytest
from anthropic.lib.streaming._messages import accumulate_event
from anthropic.types import RawMessageStreamEvent
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from gateway.dialects import internal
from penjing.errors import EngineBusy, EngineError, InvalidRequest
from penjing.gateway.dialects.anthropic import convert, wire
from penjing.gateway.dialects.anthropic.writer import Writer
from penjing.gateway.dialects.hosted import parsed
from penjing.gateway.dialects.openai.convert import encode
from penjing.gateway.dialects.openai.convert import whole as openai_whole
from penjing.messages import Choice, Completion, Finish, Image, Message, Part, Request, Text, ToolCall

PICTURE = {"type": "image", "source": {"type": "url", "url": "u"}}
CALL = {"type": "tool_use", "id": "a", "name": "b", "input": 1}
EVENT: TypeAdapter[Any] = TypeAdapter(RawMessageStreamEvent)


def block(part: Part) -> dict[str, Any]:
    if isinstance(part, Text):
        return {"type": "text", "text": part.text}
    assert isinstance(part, Image)
    if part.url:
        return {"type": "image", "source": {"type": "url", "url": part.url}}
    data = base64.b64encode(part.data).decode()
    return {"type": "image", "source": {"type": "base64", "media_type": part.media_type, "data": data}}


def turn(message: Message) -> dict[str, Any]:
    blocks = [block(part) for part in message.parts]
    if message.role == "tool":
        result = {"type": "tool_result", "tool_use_id": message.tool_call_id, "content": blocks}
        return {"role": "user", "content": [result]}
    if message.reasoning:
        blocks.insert(0, {"type": "thinking", "thinking": message.reasoning, "signature": "any"})
    blocks += [  # the arguments' own bytes, as a client that wrote them would send them
        {"type": "tool_use", "id": call.id, "name": call.name, "input": f"RAW{call.arguments}RAW"}
        for call in message.tool_calls
    ]
    return {"role": message.role, "content": blocks}


def body(request: Request) -> bytes:
    """`request` as Anthropic's clients say it."""
    said: dict[str, Any] = {"model": request.model, "max_tokens": request.sampling.max_tokens}
    messages = list(request.messages)
    if messages[0].role == "system":
        said["system"] = [block(part) for part in messages.pop(0).parts]
    said["messages"] = [turn(message) for message in messages]
    said |= {name: getattr(request.sampling, name) for name in ("temperature", "top_p", "top_k")}
    said["stop_sequences"] = list(request.sampling.stop)
    if request.tools:
        said["tools"] = [
            {
                "name": tool.name,
                "description": tool.description,
                "input_schema": tool.parameters,
                "strict": tool.strict,
            }
            for tool in request.tools
        ]
    if request.schema is not None:
        said["output_config"] = {"format": {"type": "json_schema", "schema": request.schema}}
    if request.thinking is not None:
        display = {"display": "summarized" if request.return_reasoning else "omitted"}
        said["thinking"] = {"type": "adaptive", **display} if request.thinking else {"type": "disabled"}
    choices = {"auto": {"type": "auto"}, "required": {"type": "any"}, "none": {"type": "none"}}
    said["tool_choice"] = choices.get(request.tool_choice, {"type": "tool", "name": request.tool_choice})
    if request.parallel_tool_calls is not None and request.tool_choice != "none":
        said["tool_choice"]["disable_parallel_tool_use"] = not request.parallel_tool_calls
    said |= {"stream": request.stream, "metadata": {"user_id": request.user}}
    pieces = json.dumps(said).split('"RAW')
    return "".join([pieces[0], *(unquoted(piece) for piece in pieces[1:])]).encode()


def unquoted(piece: str) -> str:
    written, rest = piece.split('RAW"', 1)
    return json.loads(f'"{written}"') + rest


@st.composite
def requests(draw: st.DrawFn) -> Request:
    choice = draw(st.sampled_from(["auto", "required", "none", "look"]))
    thinking = draw(st.sampled_from([None, True, False]))
    stream = draw(st.booleans())
    return Request(
        model=draw(internal.words),
        messages=draw(internal.conversations),
        tools=draw(internal.tuples(internal.tools)),
        tool_choice=choice,
        parallel_tool_calls=None if choice == "none" else draw(st.sampled_from([None, True, False])),
        schema=draw(st.one_of(st.none(), internal.objects)),
        sampling=draw(internal.samplings),
        stream=stream,
        include_usage=stream,
        thinking=thinking,
        return_reasoning=draw(st.booleans()) if thinking else None,
        user=draw(st.one_of(st.just(""), internal.words)),
    )


@given(requests())
def test_what_can_be_expressed_comes_back(request: Request) -> None:
    assert convert.request(parsed(body(request), wire.MessagesBody, wire.OWN)) == request


def test_a_turn_with_answers_of_tools_between_words() -> None:
    content = [
        {"type": "text", "text": "first"},
        {"type": "tool_result", "tool_use_id": "a", "content": "one"},
        {"type": "tool_result", "tool_use_id": "b"},
        {"type": "text", "text": "then"},
    ]
    raw = json.dumps({"max_tokens": 1, "messages": [{"role": "user", "content": content}]}).encode()
    messages = convert.request(parsed(raw, wire.MessagesBody, wire.OWN)).messages
    assert [(message.role, message.tool_call_id, message.text) for message in messages] == [
        ("user", "", "first"),
        ("tool", "a", "one"),
        ("tool", "b", ""),
        ("user", "", "then"),
    ]


def test_a_models_turn_in_another_order_is_several() -> None:
    content = [
        {"type": "text", "text": "first"},
        {"type": "thinking", "thinking": "hm", "signature": ""},
        {"type": "tool_use", "id": "a", "name": "look", "input": {}},
        {"type": "text", "text": "then"},
    ]
    raw = json.dumps({"max_tokens": 1, "messages": [{"role": "assistant", "content": content}]}).encode()
    assert convert.request(parsed(raw, wire.MessagesBody, wire.OWN)).messages == (
        Message(role="assistant", parts=(Text(text="first"),)),
        Message(role="assistant", reasoning="hm", tool_calls=(ToolCall(id="a", name="look", arguments="{}"),)),
        Message(role="assistant", parts=(Text(text="then"),)),
    )


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"tool_choice": {"type": "tool", "name": "auto"}}, "'auto'"),
        ({"output_format": {"type": "json_schema", "schema": {}}}, "output_config.format"),
        ({"messages": [{"role": "system", "content": [PICTURE]}]}, "'image'"),
        ({"messages": [{"role": "assistant", "content": [CALL]}]}, "'a'"),
    ],
)
def test_what_means_nothing_is_refused(fields: dict[str, Any], named: str) -> None:
    said = {
        "max_tokens": 1,
        "messages": [{"role": "user", "content": "hi"}],
        "output_config": {"format": {"type": "json_schema", "schema": {}}},
        **fields,
    }
    with pytest.raises(InvalidRequest, match=named):
        convert.request(parsed(json.dumps(said).encode(), wire.MessagesBody, wire.OWN))


@given(internal.streams())
def test_a_stream_says_what_the_whole_says(made: tuple[Completion, list[bytes]]) -> None:
    completion, events = made
    writer = Writer("m")
    stream = b"".join([*map(writer.write, events), writer.end()])
    message: Any = None
    buffers: dict[int, bytes] = {}
    for payload in internal.payloads(stream):
        if payload["type"] != "ping":
            message = accumulate_event(
                event=EVENT.validate_python(payload), current_snapshot=message, json_bufs=buffers
            )
    whole = json.loads(Writer("m").whole(openai_whole(completion, "chatcmpl-1")))
    (choice,) = completion.choices
    assert {**message.model_dump(exclude_none=True), "id": ""} == {
        key: value for key, value in {**whole, "id": ""}.items() if value is not None
    }
    said = {
        kind: [each for each in whole["content"] if each["type"] == kind] for kind in ("thinking", "text", "tool_use")
    }
    assert "".join(each["thinking"] for each in said["thinking"]) == choice.message.reasoning
    assert "".join(each["text"] for each in said["text"]) == choice.message.text
    assert [each["input"] for each in said["tool_use"]] == [json.loads(c.arguments) for c in choice.message.tool_calls]
    assert [(each["id"], each["name"]) for each in said["tool_use"]] == [
        (c.id, c.name) for c in choice.message.tool_calls
    ]


def test_arguments_are_handed_on_as_they_were_written() -> None:
    call = ToolCall(id="a", name="look", arguments='{"at": 1.0, "é": [ ]}')
    message = Message(role="assistant", tool_calls=(call,))
    whole = openai_whole(Completion(model="m", choices=(Choice(message=message, reason="tool_calls"),)), "x")
    assert '"input":{"at": 1.0, "é": [ ]}'.encode() in Writer("m").whole(whole)


@pytest.mark.parametrize("arguments", ["[1]", '{"cut": "of', "1"])
def test_arguments_that_are_no_object(arguments: str) -> None:
    message = Message(role="assistant", tool_calls=(ToolCall(id="a", name="look", arguments=arguments),))
    broken = openai_whole(Completion(model="m", choices=(Choice(message=message, reason="tool_calls"),)), "x")
    with pytest.raises(EngineError, match="'look'"):
        Writer("m").whole(broken)
    cut = openai_whole(Completion(model="m", choices=(Choice(message=message, reason="length"),)), "x")
    said = json.loads(Writer("m").whole(cut))
    assert (said["content"], said["stop_reason"]) == ([], "max_tokens")


def test_the_sequence_that_ended_it_where_the_engine_tells() -> None:
    message = Message(role="assistant", parts=(Text(text="one"),))
    whole = openai_whole(Completion(model="m", choices=(Choice(message=message, stop="STOP"),)), "x")
    said = json.loads(Writer("m").whole(whole))
    assert (said["stop_reason"], said["stop_sequence"]) == ("stop_sequence", "STOP")
    writer = Writer("m")
    writer.write(encode(Finish(stop="STOP"), "m", "x"))
    assert internal.payloads(writer.end())[0]["delta"] == {"stop_reason": "stop_sequence", "stop_sequence": "STOP"}


def test_a_call_is_a_call_even_where_the_engine_says_stop() -> None:
    message = Message(role="assistant", tool_calls=(ToolCall(id="a", name="look", arguments="{}"),))
    whole = openai_whole(Completion(model="m", choices=(Choice(message=message),)), "x")
    assert json.loads(Writer("m").whole(whole))["stop_reason"] == "tool_use"


def test_an_answer_that_broke_off_is_none() -> None:
    with pytest.raises(EngineError):
        Writer("m").write(encode(Finish(reason="error"), "m", "x"))


def test_an_error_event_is_what_clients_read() -> None:
    writer = Writer("m")
    writer.write(b": nothing yet\n\n")
    (payload,) = internal.payloads(writer.failed(EngineBusy(model="m", seconds=1)))
    assert payload["error"]["type"] == "rate_limit_error"


def test_every_type_of_error_is_one_the_client_knows() -> None:
    from anthropic.types.shared import error_object

    from penjing.gateway.dialects.anthropic.said import KINDS

    union = get_args(error_object.ErrorObject)[0]
    known = {get_args(kind.model_fields["type"].annotation)[0] for kind in get_args(union)}
    assert {*KINDS.values(), "api_error"} - {"request_too_large"} <= known
