"""The internal form and OpenAI's body are each other's inverse."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from penjing.gateway.dialects.openai import convert, wire
from penjing.gateway.dialects.openai.body import body
from penjing.gateway.dialects.openai.parse import parse
from penjing.messages import Audio, Image, Message, Request, Sampling, Text, Tool, ToolCall

words = st.text(st.characters(codec="utf-8"), max_size=40)
some = st.text(st.characters(codec="utf-8"), min_size=1, max_size=40)
objects = st.dictionaries(some, st.one_of(st.integers(-9, 9), words, st.booleans(), st.lists(words, max_size=2)))
texts = st.builds(Text, text=words)
images = st.one_of(
    st.builds(Image, data=st.binary(min_size=1), media_type=st.sampled_from(("image/png", "image/jpeg"))),
    st.builds(Image, url=st.just("https://example.org/a.png"), detail=st.sampled_from(("", "low", "high", "auto"))),
)
sounds = st.builds(Audio, data=st.binary(), format=st.sampled_from(("wav", "mp3")))
calls = st.builds(ToolCall, id=some, name=some, arguments=objects.map(json.dumps))


def one_text(parts: tuple[Any, ...]) -> bool:
    """Whether the parts are told apart in OpenAI's words: a single empty text is no part there."""
    return parts != (Text(text=""),)


messages = st.one_of(
    st.builds(Message, role=st.just("system"), parts=st.tuples(texts).filter(one_text), name=words),
    st.builds(
        Message,
        role=st.just("user"),
        parts=st.lists(st.one_of(texts, images, sounds), max_size=4).map(tuple).filter(one_text),
    ),
    st.builds(
        Message,
        role=st.just("assistant"),
        parts=st.tuples(texts).filter(one_text),
        reasoning=words,
        tool_calls=st.lists(calls, max_size=2).map(tuple),
    ),
    st.builds(Message, role=st.just("tool"), parts=st.tuples(texts).filter(one_text), tool_call_id=some),
)
samplings = st.builds(
    Sampling,
    temperature=st.none() | st.floats(0, 2),
    top_p=st.none() | st.floats(0, 1),
    top_k=st.none() | st.integers(0, 100),
    seed=st.none() | st.integers(0, 2**32 - 1),
    max_tokens=st.none() | st.integers(0, 1 << 20),
    stop=st.lists(some, max_size=3).map(tuple),
    presence_penalty=st.none() | st.floats(-2, 2),
    frequency_penalty=st.none() | st.floats(-2, 2),
    logprobs=st.none() | st.integers(0, 20),
    logit_bias=st.dictionaries(st.integers(0, 9).map(str), st.floats(-100, 100)),
    extra=st.fixed_dictionaries({}, optional={"min_p": st.floats(0, 1), "mirostat": st.sampled_from((0, 1, 2))}),
)
chats = st.builds(
    Request,
    model=words,
    messages=st.lists(messages, min_size=1, max_size=4).map(tuple),
    tools=st.lists(
        st.builds(Tool, name=some, description=words, parameters=objects, strict=st.booleans()), max_size=2
    ).map(tuple),
    tool_choice=st.sampled_from(("auto", "none", "required", "look")),
    parallel_tool_calls=st.none() | st.booleans(),
    schema=st.none() | objects,
    sampling=samplings,
    choices=st.integers(1, 4),
    thinking=st.none() | st.booleans(),
    return_reasoning=st.none() | st.booleans(),
    user=words,
)


def back(request: Request) -> Request:
    kind: type[wire.Body] = wire.ChatBody if request.prompt is None else wire.CompletionBody
    raw = body(request)
    found = convert.request(parse(raw, kind), raw)  # type: ignore[arg-type]  # the kind decides which body it is
    return Request(**{name: getattr(found, name) for name in found.__struct_fields__ if name != "wire"})


@given(chats)
def test_a_chat_comes_back_as_it_was(request: Request) -> None:
    assert back(request) == request


@given(words, samplings, st.booleans())
def test_a_prompt_comes_back_as_it_was(prompt: str, sampling: Sampling, usage: bool) -> None:
    request = Request(model="m", prompt=prompt, sampling=sampling, stream=True, include_usage=usage)
    assert back(request) == request


def test_an_unused_field_is_left_out() -> None:
    said = json.loads(body(Request(model="", messages=(Message(role="user", parts=(Text(text="hi"),)),))))
    assert said == {"messages": [{"role": "user", "content": "hi"}]}
