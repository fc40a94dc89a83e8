"""Bodies in: what is taken, what is refused, and that nothing a client sends is our failure."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from penjing.engines.engine import Capabilities
from penjing.errors import InputError, InvalidRequest, UnknownOption
from penjing.gateway.dialects.openai import convert, wire
from penjing.gateway.dialects.openai.check import check
from penjing.gateway.dialects.openai.parse import UnknownField, known, parse
from penjing.gateway.dialects.openai.rewrite import for_engine

KINDS = (wire.ChatBody, wire.CompletionBody, wire.EmbeddingBody)
EVERYTHING = Capabilities("m", context=1 << 20, embeddings=True, vision=True, audio=True)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=8,
)
NAMES = st.sampled_from(sorted({name for kind in KINDS for name in wire.names(kind)})) | st.text(max_size=8)
MESSAGES = st.lists(
    st.fixed_dictionaries(
        {"role": st.sampled_from(["user", "system", "developer", "tool"]) | VALUES, "content": VALUES}
    )
)


def through(body: bytes, kind: type[wire.Body]) -> None:
    """All that happens to a body before an engine sees it; only a client's mistake may be raised."""
    with suppress(InputError):
        parsed: Any = parse(body, kind)
        check(parsed, EVERYTHING)
        assert json.loads(for_engine(body, parsed, EVERYTHING))["model"] == "m"
        if not isinstance(parsed, wire.EmbeddingBody):
            convert.request(parsed, body)


@pytest.mark.parametrize("kind", KINDS)
@given(body=st.binary(max_size=200))
@example(body=b'{"messages":[{"role":"user","content":"\\ud800"}]}')
@example(body=b"[" * 5000)
@example(body=b'{"messages":' + b"[" * 5000)
@example(body=b"\xef\xbb\xbf{}")
def test_any_bytes(kind: type[wire.Body], body: bytes) -> None:
    through(body, kind)


@pytest.mark.parametrize("kind", KINDS)
@given(body=st.dictionaries(NAMES, VALUES, max_size=6))
def test_any_fields(kind: type[wire.Body], body: dict[str, Any]) -> None:
    through(json.dumps(body).encode(), kind)


@given(messages=MESSAGES, rest=st.dictionaries(NAMES, VALUES, max_size=3))
def test_any_conversation(messages: list[Any], rest: dict[str, Any]) -> None:
    through(json.dumps({**rest, "messages": messages}).encode(), wire.ChatBody)


def refused(body: object, kind: type[wire.Body] = wire.ChatBody) -> InputError:
    with pytest.raises(InputError) as caught:
        parse(body if isinstance(body, bytes) else json.dumps(body).encode(), kind)
    return caught.value


def hello(**fields: Any) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": "hi"}], **fields}


@pytest.mark.parametrize(
    ("fields", "name", "close"),
    [
        ({"temprature": 1}, "temprature", "temperature"),
        ({"max_token": 1}, "max_token", "max_tokens"),
        ({"minp": 1}, "minp", "min_p"),
        ({"repetition_penalty": 1}, "repetition_penalty", "repeat_penalty"),
    ],
)
def test_near_misses_are_named(fields: dict[str, Any], name: str, close: str) -> None:
    error = refused(hello(**fields))
    assert isinstance(error, UnknownOption)
    assert error.facts["name"] == name
    assert close in error.advice("en")


@pytest.mark.parametrize(
    ("body", "param"),
    [
        (hello(id_slot=0), "id_slot"),
        ({"messages": [{"role": "user", "content": "x", "colour": 1}]}, "messages[0].colour"),
        (
            {"messages": [{"role": "user", "content": [{"type": "text", "text": "x", "y": 1}]}]},
            "messages[0].content[0].y",
        ),
        (hello(stream_options={"include_usages": True}), "stream_options.include_usages"),
        (hello(tools=[{"type": "function", "function": {"name": "f", "params": {}}}]), "tools[0].function.params"),
    ],
)
def test_unknown_fields_are_named_with_their_place(body: dict[str, Any], param: str) -> None:
    error = refused(body)
    assert isinstance(error, UnknownOption)
    assert error.facts["param"] in (param, param.replace("[0]", "[...]"))


@pytest.mark.parametrize(
    ("body", "place"),
    [
        (hello(temperature=-1), "temperature"),
        (hello(top_p=1.5), "top_p"),
        (hello(n=0), "n"),
        (hello(n=129), "n"),
        (hello(top_logprobs=21), "top_logprobs"),
        (hello(presence_penalty=3), "presence_penalty"),
        (hello(mirostat=3), "mirostat"),
        (hello(repeat_last_n=2_000_000_000), "repeat_last_n"),
        (hello(dry_penalty_last_n=2_000_000_000), "dry_penalty_last_n"),
        (hello(stop=3), "stop"),
        (hello(tool_choice="must"), "tool_choice"),
        (hello(response_format={"type": "xml"}), "response_format"),
        (hello(stream="yes"), "stream"),
        (hello(samplers=["top_k", "topk"]), "samplers"),
        (hello(samplers="kz"), "samplers"),
        (hello(response_format={"type": "json_schema", "json_schema": {"schema": [1]}}), "response_format"),
        (hello(tools=[{"function": {"name": "f"}}]), "tools"),
        (hello(tools=[{"type": "function", "function": {"name": "f", "parameters": "x"}}]), "tools"),
        ({"messages": [{"role": "boss", "content": "x"}]}, "messages"),
        ({"messages": []}, "messages"),
        ({"messages": [{"role": "user", "content": [{"type": "video"}]}]}, "messages"),
    ],
)
def test_wrong_values_are_refused_with_their_place(body: dict[str, Any], place: str) -> None:
    error = refused(body)
    assert isinstance(error, InvalidRequest)
    assert str(error.facts["param"]).startswith(place)


def test_a_missing_field_is_named() -> None:
    assert "messages" in refused({}).message("en")
    assert "prompt" in refused({}, wire.CompletionBody).message("en")
    assert "input" in refused({}, wire.EmbeddingBody).message("en")


def test_null_means_not_given() -> None:
    names = [name for name in wire.names(wire.ChatBody) if name not in ("messages", "model")]
    parsed = parse(json.dumps(hello(**dict.fromkeys(names))).encode(), wire.ChatBody)
    assert parsed == parse(json.dumps(hello()).encode(), wire.ChatBody)


@pytest.mark.parametrize(
    ("path", "name"),
    [("", "temperature"), ("messages[0]", "tool_call_id"), ("messages[...].content[...]", "image_url"), ("nope", "")],
)
def test_known_names_at_a_place(path: str, name: str) -> None:
    names = known(wire.ChatBody, path)
    assert name in names if name else names == []


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_has_a_schema(kind: type[wire.Body]) -> None:
    assert msgspec.json.schema(kind)["$defs"][kind.__name__]["additionalProperties"] is False


def test_a_very_long_name_is_cut_and_not_compared() -> None:
    body = json.dumps({"messages": [{"role": "user", "content": "hi"}], "temperatur" * 100_000: 1}).encode()
    with pytest.raises(UnknownField) as caught:
        parse(body, wire.ChatBody)
    assert len(caught.value.message("en")) < 200
    assert len(str(caught.value.facts["param"])) < 200
