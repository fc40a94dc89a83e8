"""What a model cannot do is refused with the place in the request."""

from __future__ import annotations

import json
from typing import Any

import pytest

from penjing.engines.engine import Capabilities
from penjing.errors import ContextOverflow, InvalidRequest, Unsupported
from penjing.gateway.dialects.openai import wire
from penjing.gateway.dialects.openai.check import LONGEST_TOKEN, check
from penjing.gateway.dialects.openai.parse import parse

PLAIN = Capabilities("m", context=100)
IMAGE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
SOUND = {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}}
FILE = {"type": "file", "file": {"file_id": "x"}}
TOOL = {"type": "function", "function": {"name": "f"}}


def chat(content: Any = "hi", **fields: Any) -> wire.ChatBody:
    body = {"messages": [{"role": "user", "content": content}], **fields}
    return parse(json.dumps(body).encode(), wire.ChatBody)


def completion(**fields: Any) -> wire.CompletionBody:
    return parse(json.dumps({"prompt": "hi", **fields}).encode(), wire.CompletionBody)


DEAF = Capabilities("m", unheard=frozenset({"response_format", "tool_choice", "presence_penalty", "repeat_penalty"}))


@pytest.mark.parametrize(
    ("body", "model", "param"),
    [
        (chat(response_format={"type": "json_object"}), DEAF, "response_format"),
        (chat(presence_penalty=0.5), DEAF, "presence_penalty"),
        (chat(tools=[TOOL], tool_choice="required"), DEAF, "tool_choice"),
        (chat([IMAGE]), PLAIN, "messages[0].content[0]"),
        (chat([{"type": "text", "text": "x"}, SOUND]), PLAIN, "messages[0].content[1]"),
        (chat([FILE]), PLAIN, "messages[0].content[0]"),
        (chat(tools=[TOOL]), Capabilities("m", tools=False), "tools"),
        (chat(store=True), PLAIN, "store"),
        (chat(modalities=["text", "audio"]), PLAIN, "modalities"),
        (chat(verbosity="low"), PLAIN, "verbosity"),
        (chat(), Capabilities("m", chat=False), "messages"),
        (completion(echo=True), PLAIN, "echo"),
        (completion(suffix="x"), PLAIN, "suffix"),
        (completion(best_of=3, n=2), PLAIN, "best_of"),
        (wire.EmbeddingBody(input="x"), PLAIN, "input"),
        (wire.EmbeddingBody(input="x", dimensions=8), Capabilities("m", embeddings=True), "dimensions"),
    ],
)
def test_refused(body: wire.AnyBody, model: Capabilities, param: str) -> None:
    with pytest.raises(Unsupported) as caught:
        check(body, model)
    assert caught.value.facts["param"] == param


@pytest.mark.parametrize(
    "body",
    [
        chat(stream_options={"include_usage": True}),
        chat(tool_choice="required"),
        chat(tools=[TOOL], tool_choice={"type": "function", "function": {"name": "g"}}),
        chat(top_logprobs=2),
        completion(prompt=""),
        completion(prompt=[]),
        completion(prompt=["x"] * 17, n=128),
        completion(grammar="root ::= " + "(" * 257),
        chat(grammar="root ::= " + "(" * 200_000 + '"a"' + ")" * 200_000),
        chat(grammar="".join(f"a{n} ::= a{n + 1}\n" for n in range(10_000))),
    ],
)
def test_contradictions(body: wire.AnyBody) -> None:
    with pytest.raises(InvalidRequest):
        check(body, PLAIN)


@pytest.mark.parametrize(
    "body",
    [
        chat(),
        chat(store=False, modalities=["text"], verbosity="medium", user="me", metadata={"a": "b"}, service_tier="auto"),
        chat(tools=[TOOL], tool_choice={"type": "function", "function": {"name": "f"}}),
        chat(tools=[], tool_choice="auto"),
        completion(best_of=2, n=2),
        completion(prompt=["x"] * 16, n=128),
        chat(grammar="root ::= " + "(" * 256 + '"a"' + ")" * 256),
        chat(grammar='root ::= ("a") ' * 300 + '"' + "(" * 300 + '\\"(" [' + "(" * 300 + "] # " + "(" * 300),
        chat(repeat_last_n=-1, dry_penalty_last_n=1 << 20),
    ],
)
def test_taken(body: wire.AnyBody) -> None:
    check(body, PLAIN)


def test_what_an_engine_passes_over_may_be_said_where_it_asks_for_nothing() -> None:
    check(chat(response_format={"type": "text"}, presence_penalty=0, repeat_penalty=1.0), DEAF)
    check(chat(tools=[TOOL], tool_choice="auto"), DEAF)
    check(completion(top_k=3), DEAF)


def test_images_and_sound_where_the_model_can() -> None:
    check(chat([IMAGE, SOUND]), Capabilities("m", vision=True, audio=True))


def test_a_prompt_that_cannot_fit() -> None:
    check(chat("x" * 100 * LONGEST_TOKEN), PLAIN)
    for body in (chat("x" * (100 * LONGEST_TOKEN + 1)), completion(prompt=["a", "x" * 100_000])):
        with pytest.raises(ContextOverflow, match="100"):
            check(body, PLAIN)
