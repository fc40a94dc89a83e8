"""OpenAI's own client and its Responses API against a gateway before a scripted engine."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import openai
import pytest
from openai.types.responses import ResponseStreamEvent
from pydantic import TypeAdapter

from gateway.dialects import internal
from gateway.running import Running, Serving, until
from penjing.engines.fake import Fake, Script
from penjing.gateway.ask import Ask
from penjing.gateway.dialects.responses.endpoint import Responses
from penjing.gateway.dialects.responses.store import Store
from penjing.gateway.grant import Grant
from penjing.gateway.options import GatewayOptions
from penjing.gateway.reply import Incoming

TAGS = '<think>tap it</think><answer>do(action="Tap", element=[499,966])</answer>'
FUNCTION = {"type": "function", "name": "f"}
EVENT: TypeAdapter[Any] = TypeAdapter(ResponseStreamEvent)


@asynccontextmanager
async def client(running: Running, key: str = "k") -> AsyncIterator[openai.AsyncOpenAI]:
    async with openai.AsyncOpenAI(base_url=f"{running.url}/v1", api_key=key, max_retries=0) as made:
        yield made


def asked(running: Running) -> list[Any]:
    """The conversation the engine was last asked to continue."""
    messages: list[Any] = running.engine.requests[-1].body["messages"]
    return messages


async def test_an_answer(serving: Serving) -> None:
    async with serving(Script(tokens=tuple(TAGS))) as running, client(running) as ai:
        answer = await ai.responses.create(model="fake", input="hi", instructions="Be brief.", metadata={"a": "b"})
        messages = asked(running)
    assert messages == [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "hi"}]
    assert answer.output_text == TAGS
    assert (answer.status, answer.object, answer.model) == ("completed", "response", "fake")
    assert answer.usage is not None
    assert (answer.usage.input_tokens, answer.usage.output_tokens) == (3, len(TAGS))
    assert answer.usage.total_tokens == 3 + len(TAGS)
    assert (answer.instructions, answer.metadata, answer.store) == ("Be brief.", {"a": "b"}, True)


async def test_a_stream_event_by_event(serving: Serving) -> None:
    async with serving(Script(tokens=("Hel", "lo"))) as running:
        text = await running.stream({"input": "hi"}, "/v1/responses")
    events = internal.payloads(text.encode())
    assert [event["sequence_number"] for event in events] == list(range(len(events)))
    assert [event["type"].removeprefix("response.") for event in events] == [
        "created",
        "in_progress",
        "output_item.added",
        "content_part.added",
        "output_text.delta",
        "output_text.delta",
        "output_text.done",
        "content_part.done",
        "output_item.done",
        "completed",
    ]
    for event in events:
        assert EVENT.validate_python(event).type == event["type"]
    assert events[0]["response"]["status"] == events[1]["response"]["status"] == "in_progress"
    assert events[6]["text"] == events[7]["part"]["text"] == events[8]["item"]["content"][0]["text"] == "Hello"
    assert events[9]["response"]["output"] == [events[8]["item"]]
    assert {event["item_id"] for event in events if "item_id" in event} == {events[8]["item"]["id"]}


async def test_the_clients_own_stream(serving: Serving) -> None:
    async with (
        serving(Script(tokens=tuple(TAGS))) as running,
        client(running) as ai,
        ai.responses.stream(model="fake", input="hi") as stream,
    ):
        text = "".join([event.delta async for event in stream if event.type == "response.output_text.delta"])
        answer = await stream.get_final_response()
    assert text == answer.output_text == TAGS


@pytest.mark.parametrize("stream", [True, False])
async def test_a_conversation_goes_on_from_an_earlier_answer(serving: Serving, stream: bool) -> None:
    async def say(ai: openai.AsyncOpenAI, **fields: Any) -> Any:
        if not stream:
            return await ai.responses.create(model="fake", **fields)
        events = [event async for event in await ai.responses.create(model="fake", stream=True, **fields)]
        return events[-1].response  # type: ignore[union-attr]

    async with serving(Script()) as running, client(running) as ai:
        first = await say(ai, input="one", instructions="Be brief.")
        second = await say(ai, input="two", previous_response_id=first.id)
        await say(ai, input="three", previous_response_id=second.id, instructions="Be long.")
        messages = asked(running)
        again = await ai.responses.retrieve(second.id)
        items = [item async for item in await ai.responses.input_items.list(second.id, order="asc")]
        page = await ai.responses.input_items.list(second.id, limit=2)
    assert messages == [
        {"role": "system", "content": "Be long."},  # instructions are not carried over
        {"role": "user", "content": "one"},
        {"role": "assistant", "content": "Hello, world!"},
        {"role": "user", "content": "two"},
        {"role": "assistant", "content": "Hello, world!"},
        {"role": "user", "content": "three"},
    ]
    assert again.model_dump() == second.model_dump()
    assert [item.content[0].text for item in items] == ["one", "Hello, world!", "two"]  # type: ignore[union-attr]
    assert all(item.id for item in items)
    assert [item.id for item in page.data] == [item.id for item in items[:0:-1]]
    assert page.has_more


async def test_items_by_reference(serving: Serving) -> None:
    async with serving(Script()) as running, client(running) as ai:
        first = await ai.responses.create(model="fake", input="one")
        reference: Any = {"type": "item_reference", "id": first.output[0].id}
        await ai.responses.create(model="fake", input=[reference, {"role": "user", "content": "two"}], store=False)
        assert asked(running) == [
            {"role": "assistant", "content": "Hello, world!"},
            {"role": "user", "content": "two"},
        ]
        missing: Any = [{"type": "item_reference", "id": "msg_nobody"}]
        with pytest.raises(openai.NotFoundError, match="msg_nobody"):
            await ai.responses.create(model="fake", input=missing)


async def test_what_is_not_to_be_stored_is_not(serving: Serving) -> None:
    async with serving(Script()) as running, client(running) as ai:
        answer = await ai.responses.create(model="fake", input="hi", store=False)
        with pytest.raises(openai.NotFoundError):
            await ai.responses.retrieve(answer.id)
        with pytest.raises(openai.BadRequestError) as refused:
            await ai.responses.create(model="fake", input="hi", previous_response_id=answer.id)
    assert refused.value.code == "previous_response_not_found"
    assert refused.value.param == "previous_response_id"


async def test_deleted_is_gone(serving: Serving) -> None:
    async with serving(Script()) as running, client(running) as ai:
        first = await ai.responses.create(model="fake", input="hi")
        second = await ai.responses.create(model="fake", input="and", previous_response_id=first.id)
        await ai.responses.delete(first.id)
        for act in (ai.responses.retrieve, ai.responses.delete):
            with pytest.raises(openai.NotFoundError):
                await act(first.id)
        with pytest.raises(openai.BadRequestError, match=first.id):
            await ai.responses.create(model="fake", input="hi", previous_response_id=second.id)


async def test_what_one_key_keeps_no_other_reads(serving: Serving) -> None:
    async with serving(Script(), GatewayOptions(api_keys=("mine", "theirs"))) as running:
        async with client(running, "mine") as mine:
            answer = await mine.responses.create(model="fake", input="secret")
            item: Any = {"type": "item_reference", "id": answer.output[0].id}
        async with client(running, "theirs") as theirs:
            for act in (theirs.responses.retrieve, theirs.responses.delete, theirs.responses.input_items.list):
                with pytest.raises(openai.NotFoundError):
                    await act(answer.id)
            with pytest.raises(openai.BadRequestError):
                await theirs.responses.create(model="fake", input="?", previous_response_id=answer.id)
            with pytest.raises(openai.NotFoundError):
                await theirs.responses.create(model="fake", input=[item])
        async with client(running, "mine") as mine:
            assert (await mine.responses.retrieve(answer.id)).output_text == "Hello, world!"


async def test_what_the_engine_is_asked(serving: Serving) -> None:
    tools: list[Any] = [
        {"type": "function", "name": name, "description": "Look.", "parameters": {"type": "object"}, "strict": True}
        for name in ("look", "tap")
    ]
    said: list[Any] = [
        {"role": "developer", "content": "Be brief."},
        {"role": "user", "content": [{"type": "input_text", "text": TAGS}]},
        {"type": "reasoning", "id": "rs_1", "summary": [], "content": [{"type": "reasoning_text", "text": "Look."}]},
        {"role": "assistant", "content": "One moment."},
        {"type": "function_call", "call_id": "c1", "name": "look", "arguments": '{"at": [1, 2.0]}'},
        {"type": "function_call_output", "call_id": "c1", "output": "a door"},
    ]
    async with serving(Script()) as running, client(running) as ai:
        await ai.responses.create(
            model="fake",
            input=said,
            tools=tools,
            tool_choice={"type": "allowed_tools", "mode": "required", "tools": [{"type": "function", "name": "look"}]},
            parallel_tool_calls=False,
            text={"format": {"type": "json_schema", "name": "a", "schema": {"type": "object"}, "strict": True}},
            reasoning={"effort": "low", "summary": "auto"},
            max_output_tokens=9,
            temperature=0.5,
            top_p=0.9,
            user="me",
            truncation="disabled",
            include=["reasoning.encrypted_content"],
            service_tier="auto",
            prompt_cache_key="x",
        )
        body = running.engine.requests[-1].body
    assert body["messages"] == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": TAGS},
        {
            "role": "assistant",
            "content": "One moment.",
            "reasoning_content": "Look.",
            "tool_calls": [
                {"id": "c1", "type": "function", "function": {"name": "look", "arguments": '{"at": [1, 2.0]}'}}
            ],
        },
        {"role": "tool", "content": "a door", "tool_call_id": "c1"},
    ]
    assert [tool["function"]["name"] for tool in body["tools"]] == ["look"]
    assert (body["tool_choice"], body["parallel_tool_calls"]) == ("required", False)
    assert body["response_format"]["json_schema"]["schema"] == {"type": "object"}
    assert body["chat_template_kwargs"] == {"reasoning_effort": "low", "enable_thinking": True}
    assert (body["temperature"], body["top_p"], body["max_tokens"], body["user"]) == (0.5, 0.9, 9, "me")


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"tools": [{"type": "web_search", "search_context_size": "low"}]}, "web_search"),
        ({"background": True}, "background"),
        ({"conversation": "conv_1"}, "conversation"),
        ({"prompt": {"id": "p"}}, "prompt"),
        ({"truncation": "auto"}, "x-penjing-context"),
        ({"include": ["message.output_text.logprobs"]}, "include"),
        ({"text": {"verbosity": "low"}}, "verbosity"),
        ({"input": []}, "input"),
        ({"input": [{"type": "web_search_call", "id": "x"}]}, "web_search_call"),
        ({"input": [{"role": "user", "content": "x", "arguments": "{}"}]}, "input[0]"),
        ({"input": [{"type": "function_call", "name": "x", "arguments": "{}"}]}, "call_id"),
        ({"input": [{"type": "reasoning", "summary": [], "encrypted_content": "x"}]}, "encrypted_content"),
        ({"input": [{"role": "user", "content": [{"type": "input_file", "file_id": "x"}]}]}, "input_file"),
        ({"tool_choice": {"type": "allowed_tools", "mode": "auto", "tools": [FUNCTION]}}, "'f'"),
        ({"tool_choice": {"type": "function", "name": "auto"}}, "'auto'"),
        ({"max_tokens": 5}, "max_output_tokens"),
    ],
)
async def test_what_cannot_be_said_is_refused_by_name(serving: Serving, fields: dict[str, Any], named: str) -> None:
    async with serving(Script()) as running:
        status, body = await running.post("/v1/responses", {"input": "hi", **fields})
        assert not running.engine.requests
    assert status == 400
    assert body["error"]["type"] == "invalid_request_error"
    assert named in body["error"]["message"]


async def test_pictures_before_text_keep_their_place(serving: Serving) -> None:
    from penjing.gateway.dialects.openai.body import body
    from penjing.gateway.dialects.responses import convert, wire

    picture = wire.InputImage(image_url="data:image/png;base64,iVBORw0KGgo=", detail="low")
    item = wire.Item(role="user", content=[picture, wire.InputText(TAGS)])
    made = json.loads(body(convert.request(wire.ResponsesBody(), [item])))
    assert made["messages"][0]["content"] == [
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo=", "detail": "low"}},
        {"type": "text", "text": TAGS},
    ]


async def test_cut_by_the_limit_is_incomplete(serving: Serving) -> None:
    async with serving(Script(finish="length")) as running, client(running) as ai:
        answer = await ai.responses.create(model="fake", input="hi", max_output_tokens=2)
        events = [event async for event in await ai.responses.create(model="fake", input="hi", stream=True)]
    assert answer.status == "incomplete"
    assert answer.incomplete_details is not None
    assert answer.incomplete_details.reason == "max_output_tokens"
    assert answer.output[0].status == "incomplete"  # type: ignore[union-attr]
    assert events[-1].type == "response.incomplete"


async def test_a_break_in_the_stream_is_its_last_event(serving: Serving) -> None:
    async with serving(Script(die_after=2, delay=0.01)) as running, client(running) as ai:
        events = [event async for event in await ai.responses.create(model="fake", input="hi", stream=True)]
        last = events[-1]
        assert last.type == "response.failed"
        assert last.response.error is not None
        assert "stopped" in last.response.error.message
        assert last.response.output_text == "Hello,"
        with pytest.raises(openai.NotFoundError):
            await ai.responses.retrieve(last.response.id)


async def test_tokens_are_counted(serving: Serving) -> None:
    async with serving(Script()) as running, client(running) as ai:
        first = await ai.responses.create(model="fake", input="one two")
        plain = await ai.responses.input_tokens.count(model="fake", input="one two three", instructions="four")
        more = await ai.responses.input_tokens.count(model="fake", input="more", previous_response_id=first.id)
    assert (plain.input_tokens, more.input_tokens) == (4, 5)


@pytest.mark.parametrize("query", ["limit=0", "limit=x", "order=up"])
async def test_broken_pages(serving: Serving, query: str) -> None:
    async with serving(Script()) as running, client(running) as ai:
        answer = await ai.responses.create(model="fake", input="hi")
        status, body = await running.get(f"/v1/responses/{answer.id}/input_items?{query}")
        assert status == 400
        assert body["error"]["param"] == query.split("=")[0]
        streamed, _ = await running.get(f"/v1/responses/{answer.id}?stream=true")
        nothing, _ = await running.get(f"/v1/responses/{answer.id}/else")
    assert (streamed, nothing) == (400, 404)


async def test_what_must_stay_stays_when_the_conversation_goes_on(serving: Serving) -> None:
    cloud, here = Fake(name="cloud", local=False), Fake(name="here")
    only = {"x-penjing-local-only": "1"}
    async with serving(engines={"cloud": cloud, "here": here}) as running, client(running) as ai:
        await until(lambda: len(running.said) > 1, "ready")
        first = await ai.responses.create(model="here", input="secret", extra_headers=only)
        second = await ai.responses.create(model="here", input="and", previous_response_id=first.id)
        open_one = await ai.responses.create(model="cloud", input="hello")
        asked_before = len(cloud.requests)
        reference: Any = [{"type": "item_reference", "id": second.output[0].id}]
        for fields in (
            {"input": "?", "previous_response_id": first.id},
            {"input": "?", "previous_response_id": second.id},
            {"input": reference},
        ):
            for stream in (False, True):
                with pytest.raises(openai.PermissionDeniedError) as refused:
                    await ai.responses.create(model="cloud", stream=stream, **fields)  # type: ignore[call-overload]
                assert refused.value.code == "local_only"
            with pytest.raises(openai.PermissionDeniedError):
                await ai.responses.input_tokens.count(model="cloud", **fields)
        assert len(cloud.requests) == asked_before
        await ai.responses.create(model="cloud", input="and", previous_response_id=open_one.id)
        assert len(cloud.requests) == asked_before + 1


async def test_a_question_is_read_as_the_one_whose_key_it_carries() -> None:
    endpoint = Responses(Store())
    body = b'{"input": "and", "previous_response_id": "resp_1"}'
    said = b'{"type": "message", "role": "user", "content": "secret"}'
    for key, local in (("mine", True), ("", False)):
        endpoint.store.put(key, "resp_1", b'{"output": []}', (said,) if key else (), "", local)
    ask = Ask(endpoint, Incoming("POST", "/v1/responses", body=body))
    assert b"secret" not in ask.body  # somebody looked before the key was known
    assert not ask.local_only
    ask.key = Grant(name="mine")
    assert b"secret" in ask.body
    assert ask.wire.messages[0].content == "secret"
    assert ask.local_only
