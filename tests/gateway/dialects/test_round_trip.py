"""Every internal question goes through every dialect and comes back as it was, or what cannot be said is named; every
answer says in every dialect what the engine said."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import ollama as client
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from gateway.dialects import internal
from gateway.dialects.tongues import TONGUES, Tongue, Unsayable, differences
from penjing.errors import InputError
from penjing.gateway.ask import Ask
from penjing.gateway.dialects.ollama.said import Writer as Ollama
from penjing.gateway.dialects.openai import convert, wire
from penjing.gateway.dialects.simple.dialect import Asked
from penjing.gateway.dialects.simple.dialect import Writer as Simple
from penjing.gateway.dialects.table import Table
from penjing.gateway.dialects.textgen.said import Plain
from penjing.gateway.reply import Incoming
from penjing.messages import Audio, Completion, Image, Message, Request, Sampling, Text, Tool, ToolCall

TABLE = Table()
PNG = b"\x89PNG\r\n\x1a\n"
pictures = st.one_of(
    internal.pictures,
    st.builds(Image, data=st.binary(max_size=9).map(PNG.__add__), media_type=st.just("image/png")),
    st.builds(Image, url=st.just("https://pictures.example/a"), detail=st.sampled_from(["low", "high"])),
)
sounds = st.builds(Audio, data=st.binary(min_size=1, max_size=9), format=st.sampled_from(["wav", "mp3"]))
parts = st.one_of(st.builds(Text, text=internal.texts), pictures, sounds)
named = st.builds(
    Message,
    role=st.sampled_from(["user", "system"]),
    parts=internal.tuples(st.builds(Text, text=internal.texts), 1),
    name=st.one_of(st.just(""), internal.words),
)
turns = st.one_of(internal.turns, named, st.builds(Message, role=st.just("user"), parts=internal.tuples(parts, 1)))
conversations = st.one_of(internal.conversations, internal.tuples(turns, 1, 5))
floats = st.none() | st.floats(0, 1)
samplings = st.builds(
    Sampling,
    temperature=st.none() | st.floats(0, 2),
    top_p=floats,
    top_k=st.none() | st.integers(0, 100),
    seed=st.none() | st.integers(0, 2**32 - 1),
    max_tokens=st.none() | st.integers(0, 1 << 20),
    stop=internal.tuples(internal.texts),
    presence_penalty=floats,
    frequency_penalty=floats,
    logprobs=st.none() | st.integers(0, 20),
    logit_bias=st.dictionaries(st.integers(0, 9).map(str), st.floats(-100, 100), max_size=2),
    extra=st.fixed_dictionaries(
        {},
        optional={
            "min_p": st.floats(0, 1),
            "typical_p": st.floats(0, 1),
            "repeat_penalty": st.floats(0, 2),
            "mirostat": st.sampled_from([0, 1, 2]),
            "xtc_probability": st.floats(0, 1),
        },
    ),
)


@st.composite
def requests(draw: st.DrawFn) -> Request:
    """Anything that can be asked."""
    stream = draw(st.booleans())
    shared: dict[str, Any] = {
        "model": draw(internal.words),
        "sampling": draw(st.one_of(samplings, internal.samplings, st.just(Sampling()))),
        "choices": draw(st.sampled_from([1, 1, 2])),
        "stream": stream,
        "include_usage": stream and draw(st.booleans()),
        "user": draw(st.one_of(st.just(""), internal.words)),
    }
    if draw(st.integers(0, 4)) == 0:
        return Request(prompt=draw(internal.texts), **shared)
    return Request(
        messages=draw(conversations),
        tools=draw(internal.tuples(internal.tools)),
        tool_choice=draw(st.sampled_from(["auto", "auto", "required", "none", "look"])),
        parallel_tool_calls=draw(st.sampled_from([None, None, True, False])),
        schema=draw(st.one_of(st.none(), internal.objects)),
        thinking=draw(st.sampled_from([None, True, False])),
        return_reasoning=draw(st.sampled_from([None, True, False])),
        **shared,
    )


def heard(tongue: Tongue, request: Request) -> Request:
    """What the policies are shown of it, when a client has said it."""
    incoming = Incoming(method="POST", path=tongue.path(request), body=tongue.say(request))
    endpoint = TABLE.endpoint(incoming)
    assert endpoint is not None
    assert endpoint.dialect == tongue.name
    found = Ask(endpoint, incoming).request
    assert found is not None
    return structs.replace(found, wire=None)


@pytest.mark.parametrize("tongue", TONGUES, ids=lambda tongue: tongue.name)
@given(request=requests())
def test_it_comes_back_or_what_cannot_be_said_is_named(tongue: Tongue, request: Request) -> None:
    fitted = tongue.fitted(request)
    assert heard(tongue, fitted) == fitted
    lost = tuple(differences(request, fitted))
    if lost:
        with pytest.raises(Unsayable) as caught:
            tongue.say(request)
        assert caught.value.names == lost


ALL = Request(
    model="m",
    messages=(
        Message(role="system", parts=(Text(text="Be brief."),), name="host"),
        Message(
            role="user",
            parts=(
                Text(text="What is this?"),
                Image(data=PNG, media_type="image/png", detail="low"),
                Image(url="https://pictures.example/a"),
                Audio(data=b"sound", format="wav"),
            ),
        ),
        Message(
            role="assistant",
            parts=(Text(text=internal.TAGS[3]),),
            reasoning="hm",
            tool_calls=(ToolCall(id="a", name="look", arguments='{ "at": 1.0}'),),
        ),
        Message(role="tool", parts=(Text(text="a cat"),), tool_call_id="a"),
        Message(role="user", parts=(Text(text="And now?"),)),
    ),
    tools=(Tool(name="look", description="Look.", parameters={"type": "object"}, strict=True),),
    tool_choice="look",
    parallel_tool_calls=False,
    schema={"type": "object"},
    sampling=Sampling(
        temperature=0.5,
        top_p=0.9,
        top_k=40,
        seed=7,
        max_tokens=100,
        stop=("END",),
        presence_penalty=0.1,
        frequency_penalty=0.2,
        logprobs=3,
        logit_bias={"5": 1.0},
        extra={"min_p": 0.1, "xtc_probability": 0.1},
    ),
    choices=2,
    stream=True,
    include_usage=True,
    thinking=True,
    return_reasoning=True,
    user="me",
)
OF_LLAMACPP = {"presence_penalty", "frequency_penalty", "seed", "min_p"}
NOWHERE = {"choices", "logprobs", "logit_bias", "xtc_probability", "name"}
ALONE = {"parallel_tool_calls", "tool_choice", "user"}
PLAIN = {"thinking", "return_reasoning", "schema", "tools", "messages"}
MISSING: dict[str, set[str]] = {
    "openai": set(),
    "anthropic": NOWHERE | OF_LLAMACPP | {"parts"},
    "responses": NOWHERE | OF_LLAMACPP | {"parts", "stop", "top_k"},
    "ollama": NOWHERE | ALONE | {"parts", "strict"},
    "textgen": NOWHERE - {"name"} | ALONE | PLAIN,
    "simple": NOWHERE - {"name"} | ALONE | PLAIN | OF_LLAMACPP | {"stop", "top_k", "include_usage"},
}
"""What each dialect has no words for; `parts`: sound, and where a picture or its detail cannot stand."""


@pytest.mark.parametrize("tongue", TONGUES, ids=lambda tongue: tongue.name)
def test_what_a_dialect_has_no_words_for(tongue: Tongue) -> None:
    lost = {place.removesuffix(".5").rpartition(".")[2] for place in differences(ALL, tongue.fitted(ALL))}
    assert lost == MISSING[tongue.name]


@pytest.mark.parametrize("tongue", TONGUES[1:], ids=lambda tongue: tongue.name)
def test_a_word_of_openais_that_a_dialect_has_not_is_refused_by_name(tongue: Tongue) -> None:
    body = json.loads(tongue.say(tongue.fitted(ALL)))
    endpoint = TABLE.endpoint(Incoming("POST", tongue.paths[0]))
    assert endpoint is not None
    known = {*wire.names(endpoint.body), "model"}
    for name in wire.names(wire.ChatBody):
        if name not in known:
            incoming = Incoming("POST", tongue.paths[0], body=json.dumps({**body, name: None}).encode())
            with pytest.raises(InputError, match=name) as caught:
                endpoint.asked(incoming, "")
            assert caught.value.facts["param"] == name


@given(internal.streams())
def test_an_answer_in_ollamas_words(made: tuple[Completion, list[bytes]]) -> None:
    completion, events = made
    (choice,) = completion.choices
    writer = Ollama("m", chat=True, began=0.0)
    stream = b"".join([*map(writer.write, events), writer.end()])
    lines = [client.ChatResponse.model_validate_json(line) for line in stream.splitlines()]
    raw = Ollama("m", chat=True, began=0.0).whole(convert.whole(completion, "x"))
    whole = client.ChatResponse.model_validate_json(raw)
    for said in (lines, [whole]):
        assert "".join(line.message.content or "" for line in said) == choice.message.text
        assert "".join(line.message.thinking or "" for line in said) == choice.message.reasoning
        calls = [call.function for line in said for call in line.message.tool_calls or ()]
        assert [(call.name, call.arguments) for call in calls] == [
            (call.name, json.loads(call.arguments)) for call in choice.message.tool_calls
        ]
        assert [line.done for line in said] == [False] * (len(said) - 1) + [True]
        assert said[-1].done_reason == ("length" if choice.reason == "length" else "stop")
        assert completion.usage is not None
        assert said[-1].prompt_eval_count == completion.usage.prompt_tokens
        assert said[-1].eval_count == completion.usage.completion_tokens


@given(internal.streams())
def test_an_answer_in_the_words_of_small_clients(made: tuple[Completion, list[bytes]]) -> None:
    completion, events = made
    text, body = completion.choices[0].message.text, convert.whole(completion, "x")
    for writer, last in ((Plain(), {"event": "stream_end"}), (Simple(Asked(prompt="")), {"done": True})):
        *pieces, end = map(msgspec.json.decode, b"".join([*map(writer.write, events), writer.end()]).splitlines())
        assert "".join(piece.get("text", "") + piece.get("response", "") for piece in pieces) == text
        assert end.items() >= last.items()
    assert msgspec.json.decode(Plain().whole(body)) == {"results": [{"text": text}]}
    assert msgspec.json.decode(Simple(Asked(prompt="")).whole(body)) == {"response": text}
