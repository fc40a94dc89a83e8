from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from penjing.errors import EngineDied, EngineError
from penjing.gateway.answer import BUFFER_HIGH, Answer
from penjing.gateway.patience import Patience, TooSlow
from penjing.gateway.routing.begin import Opened, tells
from penjing.messages import Delta, Finish


def event(**said: Any) -> bytes:
    return b"data: " + json.dumps(said).encode() + b"\n\n"


def delta(**fields: Any) -> bytes:
    return event(choices=[{"index": 0, "delta": fields, "finish_reason": None}])


ROLE = delta(role="assistant", content="")


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", False),
        (b": a comment\n\n", False),
        (ROLE, False),
        (ROLE[:-1], False),
        (delta(role="assistant", content=None), False),
        (delta(content="x"), True),
        (delta(reasoning_content="x"), True),
        (delta(tool_calls=[{"index": 0}]), True),
        (event(choices=[{"index": 0, "text": "x"}]), True),
        (event(choices=[{"index": 0, "delta": {}, "finish_reason": "stop"}]), True),
        (ROLE + delta(content="x")[:9], True),
        (b"data:[DONE]\n\n", True),
        (b"data: {not json\n\n", True),
    ],
)
def test_what_tells_something(data: bytes, said: bool) -> None:
    assert tells("m", data) is said


def test_an_error_as_the_first_event_is_one() -> None:
    with pytest.raises(EngineError, match="no room"):
        tells("m", event(error={"message": "no room", "type": "server_error"}))


class Source:
    def __init__(self) -> None:
        self.paused = False

    def pause(self, answer: Answer) -> None:
        self.paused = True

    def resume(self, answer: Answer) -> None:
        self.paused = False

    def abort(self) -> None: ...


async def test_what_is_waited_for_is_still_there() -> None:
    answer = Answer(Source(), 200, b"text/event-stream")
    waiting = asyncio.create_task(answer.begun(lambda data: b"XX" in data))
    for piece in (ROLE, delta(content="XX")):
        await asyncio.sleep(0)
        assert not waiting.done()
        answer.feed([piece])
    await waiting
    answer.broken(EngineDied(model="m", how=""))
    await answer.begun(lambda data: b"XX" in data)
    assert [chunk.body async for chunk in _until_broken(answer)] == [ROLE + delta(content="XX")]


async def test_what_breaks_before_it_begins_is_raised() -> None:
    answer = Answer(Source(), 200, b"text/event-stream")
    answer.feed([ROLE])
    answer.broken(EngineDied(model="m", how=""))
    with pytest.raises(EngineDied):
        await answer.begun(lambda data: b"XX" in data)


async def _until_broken(answer: Answer) -> Any:
    try:
        async for chunk in answer:
            yield chunk
    except EngineDied:
        return


async def test_a_beginning_without_an_end_is_not_waited_for_for_ever() -> None:
    source = Source()
    answer = Answer(source, 200, b"text/event-stream")
    waiting = asyncio.create_task(answer.begun(lambda data: False))
    answer.feed([b"x" * (BUFFER_HIGH + 1)])
    await asyncio.wait_for(waiting, 60)


async def test_events_of_policies_are_all_passed_on() -> None:
    async def made() -> Any:
        yield Delta(text="b")
        yield Finish()

    opened = Opened(Delta(text="a"), made())
    assert [said async for said in opened] == [Delta(text="a"), Delta(text="b"), Finish()]


async def test_patience_ends_and_a_cancel_is_a_cancel() -> None:
    with pytest.raises(TooSlow), Patience("m", 0.01):
        await asyncio.Event().wait()
    with Patience("m", 0.01):
        pass
    with Patience("m", 0):
        await asyncio.sleep(0.02)

    async def patient() -> None:
        with Patience("m", 60):
            await asyncio.Event().wait()

    task = asyncio.create_task(patient())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
