"""Internal messages for Hypothesis, and answers cut into the pieces of a stream, for the tests of every dialect."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import Any

from hypothesis import strategies as st

from penjing.gateway.dialects.openai import convert
from penjing.gateway.sse import LAST
from penjing.messages import (
    Choice,
    Completion,
    Delta,
    Finish,
    FinishReason,
    Image,
    Message,
    Sampling,
    Text,
    Tool,
    ToolCall,
    ToolPiece,
    Usage,
)

TAGS = ("<think>", "</think>", "<answer>", '<answer>do(action="Tap", element=[499,966])</answer>', "<|im_end|>")
texts = st.one_of(
    st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=20),
    st.lists(st.sampled_from(TAGS), min_size=1, max_size=3).map("".join),
)
words = st.text("abcdefghijklmnopqrstuvwxyzABCDEFGHIJ_0123456789", min_size=1, max_size=12)
values = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-(2**53), 2**53), st.floats(-1e6, 1e6), texts),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(words, inner, max_size=3)),
    max_leaves=6,
)
objects = st.dictionaries(words, values, max_size=3)
arguments = st.builds(json.dumps, objects, ensure_ascii=st.booleans(), indent=st.sampled_from([None, 1]))
calls = st.builds(ToolCall, id=words, name=words, arguments=arguments)
pictures = st.one_of(
    st.builds(Image, data=st.binary(min_size=1, max_size=30), media_type=st.sampled_from(["image/png", "image/jpeg"])),
    st.builds(Image, url=words.map("https://pictures.example/{}".format)),
)
parts = st.one_of(st.builds(Text, text=texts), pictures)


def tuples(of: Any, least: int = 0, most: int = 3) -> Any:
    return st.lists(of, min_size=least, max_size=most).map(tuple)


systems = st.builds(Message, role=st.just("system"), parts=tuples(st.builds(Text, text=texts), 1))
users = st.builds(Message, role=st.just("user"), parts=tuples(parts, 1))
results = st.builds(Message, role=st.just("tool"), parts=tuples(parts), tool_call_id=words)
assistants = st.builds(
    Message,
    role=st.just("assistant"),
    parts=tuples(st.builds(Text, text=texts)),
    reasoning=st.one_of(st.just(""), texts),
    tool_calls=tuples(calls, 0, 2),
)
turns = st.one_of(users, results, assistants)
conversations = st.tuples(tuples(systems, 0, 1), tuples(turns, 1, 5)).map(lambda pair: pair[0] + pair[1])
tools = st.builds(
    Tool,
    name=words,
    description=st.one_of(st.just(""), texts),
    parameters=objects.map(lambda properties: {"type": "object", "properties": properties}),
    strict=st.booleans(),
)
samplings = st.builds(
    Sampling,
    temperature=st.one_of(st.none(), st.floats(0, 2)),
    top_p=st.one_of(st.none(), st.floats(0, 1)),
    max_tokens=st.integers(1, 10_000),
)


@st.composite
def completions(draw: st.DrawFn) -> Completion:
    """A whole answer with one choice."""
    asked = draw(tuples(calls, 0, 2))
    reasons: list[FinishReason] = ["tool_calls"] if asked else ["stop", "length"]
    said = draw(st.one_of(st.just(""), texts))
    message = Message(
        role="assistant",
        parts=(Text(text=said),) if said else (),
        reasoning=draw(st.one_of(st.just(""), texts)),
        tool_calls=asked,
    )
    prompt, answer, cached = draw(st.tuples(st.integers(1, 9), st.integers(1, 9), st.integers(0, 1)))
    usage = Usage(prompt_tokens=prompt, completion_tokens=answer, cached_tokens=cached)
    return Completion(model="m", choices=(Choice(message=message, reason=draw(st.sampled_from(reasons))),), usage=usage)


@st.composite
def streams(draw: st.DrawFn) -> tuple[Completion, list[bytes]]:
    """An answer and the OpenAI events of its stream, each text in pieces."""
    whole = draw(completions())
    (choice,) = whole.choices
    events: list[Delta | Finish | Usage] = [Delta(reasoning=piece) for piece in cut(draw, choice.message.reasoning)]
    events += [Delta(text=piece) for piece in cut(draw, choice.message.text)]
    for index, call in enumerate(choice.message.tool_calls):
        events.append(Delta(tool_calls=(ToolPiece(index=index, id=call.id, name=call.name),)))
        events += [Delta(tool_calls=(ToolPiece(index=index, arguments=piece),)) for piece in cut(draw, call.arguments)]
    events.append(Finish(reason=choice.reason))
    if whole.usage is not None:
        events.append(whole.usage)
    return whole, [*(convert.encode(event, "m", "chatcmpl-1") for event in events), LAST]


def cut(draw: st.DrawFn, text: str) -> list[str]:
    """`text` in pieces that are not empty."""
    places = sorted(draw(st.sets(st.integers(1, max(len(text) - 1, 1)), max_size=3)))
    edges = [0, *(place for place in places if place < len(text)), len(text)]
    return [text[start:end] for start, end in pairwise(edges) if start < end]


def payloads(stream: bytes) -> list[dict[str, Any]]:
    """The JSON of each event, after a check that its name is its type where it has a name."""
    said = []
    for event in stream.decode().removesuffix("\n\n").split("\n\n"):
        fields = dict(line.split(": ", 1) for line in event.split("\n"))
        payload = json.loads(fields["data"])
        assert fields.get("event", payload["type"]) == payload["type"]
        said.append(payload)
    return said
