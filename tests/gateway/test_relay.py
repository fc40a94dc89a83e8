"""The hot path by itself: whole events, errors that can always follow, pauses."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from gateway.running import until
from penjing.errors import EngineDied
from penjing.gateway import relay as hot
from penjing.gateway.answer import Answer
from penjing.gateway.dialects.openai.endpoints import UNTOUCHED
from penjing.gateway.observe import Observed, Watch
from penjing.gateway.relay import Relay
from penjing.gateway.upstream import EngineProtocol


class Client:
    """A reply that writes down what it is told."""

    def __init__(self) -> None:
        self.started = self.ended = False
        self.wrote: list[bytes] = []
        self.flow: Any = None

    def begin(self, status: int, content_type: bytes, headers: Any = (), first: bytes = b"") -> None:
        assert not self.started
        self.started = True
        self.wrote.append(first)

    def write(self, data: bytes) -> None:
        assert data
        self.wrote.append(data)

    def end(self, last: bytes = b"") -> None:
        assert not self.ended
        self.ended = True
        self.wrote.append(last)


class Engine:
    def __init__(self) -> None:
        self.paused = self.aborted = False

    def pause(self, answer: Answer) -> None:
        self.paused = True

    def resume(self, answer: Answer) -> None:
        self.paused = False

    def abort(self) -> None:
        self.aborted = True


class Line:
    """An answer relayed to a client, all in the test's hands."""

    def __init__(self) -> None:
        self.engine = Engine()
        self.answer = Answer(self.engine, 200, b"text/event-stream")
        self.client = Client()
        self.watch = Watch(Observed())
        self.task = asyncio.ensure_future(Relay(self.answer, self.client, self.watch, UNTOUCHED, []).run())  # type: ignore[arg-type]

    async def feed(self, *pieces: bytes) -> None:
        await asyncio.sleep(0)
        for piece in pieces:
            self.answer.feed([piece])

    @property
    def wrote(self) -> bytes:
        return b"".join(self.client.wrote)


async def test_what_is_half_waits_for_its_end() -> None:
    line = Line()
    await line.feed(b"data: a\n\ndata: b")
    assert line.wrote == b"data: a\n\n"
    await line.feed(b"\n")
    assert line.wrote == b"data: a\n\n"
    await line.feed(b"\ndata: c\r\n\r\n")
    line.answer.complete()
    await line.task
    assert line.wrote == b"data: a\n\ndata: b\n\ndata: c\r\n\r\n"
    assert line.client.ended


async def test_a_last_event_without_its_blank_line_is_an_event() -> None:
    line = Line()
    await line.feed(b"data: a\n\n", b"data: [DONE]")
    line.answer.complete()
    await line.task
    assert line.wrote == b"data: a\n\ndata: [DONE]\n\n"


async def test_a_stream_that_ends_inside_an_event_is_a_broken_one() -> None:
    line = Line()
    await line.feed(b"data: a\n\n", b'data: {"choi')
    line.answer.complete()
    await line.task
    assert line.wrote.startswith(b"data: a\n\ndata: {")
    assert b"engine_protocol" in line.wrote


async def test_half_an_event_is_dropped_before_an_error() -> None:
    line = Line()
    await line.feed(b"data: a\n\ndata: ha")
    line.answer.broken(EngineDied(model="m", how="killed"))
    await line.task
    assert line.wrote.startswith(b'data: a\n\ndata: {"error":')
    assert line.wrote.endswith(b"}\n\n")
    assert line.watch.status == "engine_died"


async def test_an_error_before_the_first_byte_is_the_callers() -> None:
    line = Line()
    await line.feed()
    line.answer.broken(EngineDied(model="m", how="killed"))
    with pytest.raises(EngineDied):
        await line.task
    assert not line.client.started


async def test_an_empty_stream() -> None:
    line = Line()
    await line.feed()
    line.answer.complete()
    await line.task
    assert line.client.started
    assert line.client.ended


async def test_an_event_without_end_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hot, "EVENT_LIMIT", 100)
    line = Line()
    await line.feed(b"data: " + b"x" * 200)
    with pytest.raises(EngineProtocol):
        await line.task
    assert line.engine.aborted


async def test_fast_tokens_are_gathered_and_go_on() -> None:
    line = Line()
    await line.feed(b"data: a\n\n")
    assert not line.engine.paused
    await line.feed(b"data: b\n\n")
    assert line.engine.paused
    await until(lambda: not line.engine.paused, "it goes on by itself")
    line.answer.complete()
    await line.task


async def test_a_slow_client_pauses_the_engine_until_it_reads() -> None:
    line = Line()
    await line.feed(b"data: a\n\n")
    line.client.flow.pause()
    assert line.engine.paused
    await line.feed(b"data: b\n\n")
    await asyncio.sleep(hot.REST_SECONDS * 3)
    assert line.engine.paused
    line.client.flow.resume()
    assert not line.engine.paused
    line.answer.complete()
    await line.task
    assert line.client.flow is None


async def test_tokens_are_counted_from_the_end_of_the_stream() -> None:
    line = Line()
    usage = b'data: {"usage":{"prompt_tokens":5,"completion_tokens":2}}\n\n'
    await line.feed(b"data: {}\n\n", usage, b"data: [DONE]\n\n")
    line.answer.complete()
    await line.task
    assert line.watch.usage is not None
    assert (line.watch.usage.prompt_tokens, line.watch.usage.completion_tokens) == (5, 2)
