"""The hot path by itself: whole events, errors that can always follow, pauses."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from penjing.errors import EngineDied
from penjing.gateway import observe, sse
from penjing.gateway.answer import Answer
from penjing.gateway.beat import BEATS
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
        self.beat = 0.0

    def pause(self, answer: Answer) -> None:
        self.paused = True

    def resume(self, answer: Answer) -> None:
        self.paused = False

    def rest(self, answer: Answer, seconds: float) -> None:
        self.beat = seconds

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
    await line.feed(b"data: 1\n\ndata: 2")
    assert line.wrote == b"data: 1\n\n"
    await line.feed(b"\n")
    assert line.wrote == b"data: 1\n\n"
    await line.feed(b"\ndata: [DONE]\r\n\r\n")
    line.answer.complete()
    await line.task
    assert line.wrote == b"data: 1\n\ndata: 2\n\ndata: [DONE]\r\n\r\n"
    assert line.client.ended


async def test_a_last_event_without_its_blank_line_is_an_event() -> None:
    line = Line()
    await line.feed(b"data: 1\n\n", b"data: [DONE]")
    line.answer.complete()
    await line.task
    assert line.wrote == b"data: 1\n\ndata: [DONE]\n\n"


async def test_a_stream_that_ends_inside_an_event_is_a_broken_one() -> None:
    line = Line()
    await line.feed(b"data: 1\n\n", b'data: {"choi')
    line.answer.complete()
    await line.task
    assert line.wrote.startswith(b"data: 1\n\ndata: {")
    assert b"engine_protocol" in line.wrote


async def test_half_an_event_is_dropped_before_an_error() -> None:
    line = Line()
    await line.feed(b"data: 1\n\ndata: ha")
    line.answer.broken(EngineDied(model="m", how="killed"))
    await line.task
    assert line.wrote.startswith(b'data: 1\n\ndata: {"error":')
    assert line.wrote.endswith(b"}\n\n")
    assert line.watch.status == "engine_died"


async def test_an_error_before_the_first_byte_is_the_callers() -> None:
    line = Line()
    await line.feed()
    line.answer.broken(EngineDied(model="m", how="killed"))
    with pytest.raises(EngineDied):
        await line.task
    assert not line.client.started


async def test_an_empty_stream_is_the_callers() -> None:
    line = Line()
    await line.feed()
    line.answer.complete()
    with pytest.raises(EngineProtocol, match="before the answer"):
        await line.task
    assert not line.client.started


async def test_an_event_without_end_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sse, "EVENT_LIMIT", 100)
    line = Line()
    await line.feed(b"data: " + b"x" * 200)
    with pytest.raises(EngineProtocol):
        await line.task
    assert line.engine.aborted


class Clock:
    """What measures tokens; a step a look."""

    def __init__(self, step: float) -> None:
        self._step, self.now = step, 100.0

    def perf_counter(self) -> float:
        self.now += self._step
        return self.now


async def test_fast_tokens_are_read_at_a_beat_that_grows_with_the_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(BEATS[0] / 4)
    monkeypatch.setattr(observe, "time", clock)
    line = Line()
    await line.feed(b"data: 1\n\n")
    assert not line.engine.beat
    await line.feed(b"data: 2\n\n")
    assert line.engine.beat == BEATS[0]
    for number in range(200):
        await line.feed(b"data: %d\n\n" % number)
    assert line.engine.beat == BEATS[-1]
    line.answer.complete()
    await line.task


async def test_slow_tokens_are_read_as_they_come(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(observe, "time", Clock(BEATS[-1] * 2))
    line = Line()
    await line.feed(b"data: 1\n\n")
    await line.feed(b"data: 2\n\n")
    assert not line.engine.beat
    line.answer.complete()
    await line.task


async def test_a_slow_client_pauses_the_engine_until_it_reads() -> None:
    line = Line()
    await line.feed(b"data: 1\n\n")
    line.client.flow.pause()
    assert line.engine.paused
    await line.feed(b"data: 2\n\n")
    assert line.engine.paused
    assert not line.engine.beat
    line.client.flow.resume()
    assert not line.engine.paused
    line.answer.complete()
    await line.task
    assert line.client.flow is None


@pytest.mark.parametrize(
    "bad", [b'data: {"choices": [{\n\n', b'data: {"a": "\xff"}\n\n', b"data: {} {}\n\n", b"data:\n\n"]
)
async def test_what_came_before_a_broken_event_is_passed_on(bad: bytes) -> None:
    line = Line()
    await line.feed(b"data: 1\n\n", b"data: 2\n\n" + bad + b"data: 3\n\ndata: [DONE]\n\n")
    await line.task
    assert line.wrote.startswith(b'data: 1\n\ndata: 2\n\ndata: {"error":')
    assert line.wrote.endswith(b"}\n\n")
    assert b"engine_protocol" in line.wrote
    assert line.engine.aborted
    assert line.watch.status == "engine_protocol"


async def test_a_broken_first_event_is_the_callers() -> None:
    line = Line()
    await line.feed(b"data: {\n\n")
    with pytest.raises(EngineProtocol, match="not JSON"):
        await line.task
    assert not line.client.started


async def test_a_stream_that_stops_before_its_end_is_a_broken_one() -> None:
    line = Line()
    await line.feed(b"data: 1\n\n")
    line.answer.complete()
    await line.task
    assert b"ends before the answer does" in line.wrote


@pytest.mark.parametrize("last", [b"data: [DONE]\n\n", b'data: {"choices":[{"finish_reason":"stop"}]}\n\n'])
async def test_ways_to_end_a_stream(last: bytes) -> None:
    line = Line()
    await line.feed(b"data: 1\n\n", last)
    line.answer.complete()
    await line.task
    assert line.wrote == b"data: 1\n\n" + last
    assert not line.watch.status


async def test_an_error_that_the_engine_says_is_passed_on_and_counted() -> None:
    line = Line()
    said = b'data: {"error":{"message":"no memory"}}\n\n'
    await line.feed(b"data: 1\n\n", said)
    line.answer.complete()
    await line.task
    assert line.wrote == b"data: 1\n\n" + said
    assert line.watch.status == "engine_error"


async def test_tokens_are_counted_from_the_end_of_the_stream() -> None:
    line = Line()
    usage = b'data: {"usage":{"prompt_tokens":5,"completion_tokens":2}}\n\n'
    await line.feed(b"data: {}\n\n", usage, b"data: [DONE]\n\n")
    line.answer.complete()
    await line.task
    assert line.watch.usage is not None
    assert (line.watch.usage.prompt_tokens, line.watch.usage.completion_tokens) == (5, 2)


async def test_a_client_may_leave_at_the_last_word() -> None:
    line = Line()
    usage = b'data: {"usage":{"prompt_tokens":5,"completion_tokens":2}}\n\n'
    await line.feed(b"data: {}\n\n", usage)
    assert not line.watch.whole
    await line.feed(b"data: [DONE]\n\n")  # the engine's answer is not over yet
    assert line.watch.whole
    assert line.watch.usage is not None
    assert (line.watch.usage.prompt_tokens, line.watch.usage.completion_tokens) == (5, 2)
    line.task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await line.task


async def test_an_error_before_the_last_word_is_counted_when_the_client_leaves() -> None:
    line = Line()
    await line.feed(b"data: 1\n\n", b'data: {"error":{"message":"x"}}\n\n', b"data: [DONE]\n\n")
    assert line.watch.status == "engine_error"
    line.answer.complete()
    await line.task
