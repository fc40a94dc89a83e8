from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penjing.cli.chat.answer import (
    Clock,
    ConnectionLost,
    KeyRefused,
    PromptTooLong,
    Refused,
    ask,
    complaint,
    read_chunk,
)
from penjing.engines.engine import Address
from penjing.engines.fake import Fake, Script
from penjing.errors import ContextOverflow, EngineBusy, EngineLoading, InputError, PenjingError
from penjing.messages import Delta, Event, Finish, Usage

TOO_LONG = {"message": "no", "type": "exceed_context_size_error", "n_prompt_tokens": 9, "n_ctx": 4}
QUESTION: dict[str, object] = {"messages": [{"role": "user", "content": "hi"}]}


@pytest.fixture
async def fake() -> AsyncIterator[Fake]:
    engine = Fake()
    await engine.start()
    yield engine
    await engine.stop()


async def events(engine: Fake) -> list[Event]:
    return [event async for event in ask(engine.address, "fake", QUESTION)]


async def test_an_answer_is_deltas_a_finish_and_the_usage(fake: Fake) -> None:
    heard = await events(fake)
    assert "".join(event.text for event in heard if isinstance(event, Delta)) == "Hello, world!"
    assert [event.reason for event in heard if isinstance(event, Finish)] == ["stop"]
    assert [event.completion_tokens for event in heard if isinstance(event, Usage)] == [4]
    assert fake.requests[0].body["stream_options"] == {"include_usage": True}


@pytest.mark.parametrize("script", [Script(die_after=2), Script(garble_after=1)])
async def test_an_answer_that_breaks_off_is_told(fake: Fake, script: Script) -> None:
    fake.script = script
    with pytest.raises(ConnectionLost):
        await events(fake)


async def test_nobody_there_is_told() -> None:
    nowhere = ask(Address("http://127.0.0.1:9"), "m", QUESTION)
    with pytest.raises(ConnectionLost, match="m"):
        await anext(nowhere)


async def test_who_stops_listening_stops_the_engine(fake: Fake) -> None:
    fake.script = Script(tokens=("x",) * 1000, delay=0.01)
    answer = ask(fake.address, "fake", QUESTION)
    await anext(answer)
    await answer.aclose()  # type: ignore[attr-defined]
    for _ in range(500):
        if not fake.left:
            await asyncio.sleep(0.01)
    assert fake.left == 1


@pytest.mark.parametrize(
    ("status", "fault", "kind"),
    [
        (
            400,
            TOO_LONG,
            ContextOverflow,
        ),
        (400, {"message": "long", "code": "context_length_exceeded"}, PromptTooLong),
        (400, {"message": "bad", "code": 400}, InputError),
        (401, {"message": "key"}, KeyRefused),
        (403, {"message": "key"}, KeyRefused),
        (429, {"message": "busy"}, EngineBusy),
        (503, {"message": "loading"}, EngineLoading),
        (200, {"message": "loading", "code": 503}, EngineLoading),
        (500, {"message": "oops"}, Refused),
    ],
)
def test_a_servers_complaint_becomes_ours(status: int, fault: dict[str, object], kind: type[PenjingError]) -> None:
    error = complaint("m", status, json.dumps({"error": fault}).encode())
    assert type(error) is kind
    assert error.message("en")
    assert error.message("zh") != error.message("en") or kind is InputError


def test_the_overflow_has_its_numbers() -> None:
    assert complaint("m", 400, json.dumps({"error": TOO_LONG}).encode()).facts == {"tokens": 9, "context": 4}


@given(
    st.integers(400, 599),
    st.one_of(st.binary(), st.recursive(st.none() | st.text(), st.lists).map(repr).map(str.encode)),
)
def test_any_refusal_is_an_error_with_a_sentence(status: int, body: bytes) -> None:
    assert complaint("m", status, body).message("en")


@pytest.mark.parametrize("body", [b'{"error": "text"}', b"[1]", b'"x"', b"null", b"<html>", b'{"error": null}'])
def test_strange_refusals(body: bytes) -> None:
    assert isinstance(complaint("m", 500, body), Refused)


def test_reasoning_comes_under_two_names() -> None:
    for name in ("reasoning_content", "reasoning"):
        assert read_chunk({"choices": [{"delta": {name: "hm"}}]}) == [Delta(reasoning="hm")]
    assert read_chunk({"choices": []}) == []
    assert read_chunk({"choices": [{"delta": {"content": None}, "finish_reason": None}], "usage": None}) == []


def test_the_clock_counts_from_the_question() -> None:
    clock = Clock(asked=10.0, first=10.5, last=12.5, usage=Usage(prompt_tokens=3, completion_tokens=5))
    assert clock.to_first == 0.5
    assert clock.speed == 2.0
    assert Clock().to_first == 0.0
    assert Clock().speed == 0.0
