"""Going down the rungs, with engines that the test lets die (a real one: test_degrade_real)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable
from dataclasses import dataclass, field
from typing import Any

import pytest

from penjing.engines.engine import Capabilities
from penjing.errors import EngineDied, EngineError, PenjingError
from penjing.gateway.answer import Answer
from penjing.gateway.ask import Ask
from penjing.gateway.dialects.table import Table
from penjing.gateway.house import House
from penjing.gateway.options import GatewayOptions
from penjing.gateway.policies.degrade import HEADER, Degrade, DegradeOptions, OutOfMemory
from penjing.gateway.reply import Incoming
from penjing.messages import Event

FULL = EngineError(detail="ggml: failed to allocate buffer")


@dataclass
class Engine:
    """What the policy sees of a supervised engine."""

    name: str
    context: int = 4096
    local: bool = True
    state: str = "ready"
    restarts: int = 0
    starved: bool = False
    resized: list[int] = field(default_factory=list)

    @property
    def capabilities(self) -> Capabilities:
        return Capabilities(model=self.name, context=self.context)

    def resize(self, context: int) -> bool:
        self.resized.append(context)
        self.context = context
        return True

    def die(self) -> EngineDied:
        self.restarts += 1
        self.starved = True
        return EngineDied(model=self.name, how="connection closed")


class Memory:
    """The end of the chain: it fails as long as too much is asked for."""

    def __init__(self, house: House, most: int = 1 << 30, context: int = 1 << 30, deadly: bool = False) -> None:
        self.house, self.most, self.context, self.deadly = house, most, context, deadly
        self.asked: list[tuple[str, int | None]] = []

    async def __call__(self, ask: Ask) -> AsyncIterable[Event]:
        name = ask.target or "big"
        engine: Any = self.house.engines[name]
        wanted = getattr(ask.wire, "max_tokens", None)
        self.asked.append((name, wanted))
        if name == "big" and ((wanted or self.context) > self.most or engine.context > self.context):
            raise engine.die() if self.deadly else FULL
        return Answer.of(b"{}")


def ask(**fields: Any) -> Ask:
    import json

    body = json.dumps({"messages": [{"role": "user", "content": "hi"}], **fields}).encode()
    incoming = Incoming("POST", "/v1/chat/completions", body=body)
    endpoint = Table().endpoint(incoming)
    assert endpoint is not None
    return Ask(endpoint, incoming)


def house(**more: Any) -> House:
    engines: dict[str, Any] = {"big": Engine("big"), "small": Engine("small", **more)}
    return House(engines, GatewayOptions())


SMALLER = DegradeOptions(smaller={"big": "small"}, patience=1.0)


async def test_fewer_tokens_each_time_down_to_the_floor() -> None:
    here = house()
    memory = Memory(here, most=500)
    question = ask(max_tokens=1000)
    await Degrade(DegradeOptions(), here)(question, memory)
    assert memory.asked == [("big", 1000), ("big", 800), ("big", 640), ("big", 512), ("big", 409)]
    assert question.notes[HEADER] == "max_tokens=409; answered-by=big; why=memory"


async def test_then_a_smaller_context_then_the_smaller_model() -> None:
    here = house()
    memory = Memory(here, most=0)
    question = ask(max_tokens=100)
    policy = Degrade(SMALLER, here)
    await policy(question, memory)
    assert memory.asked == [("big", 100), ("big", 80), ("big", 64), ("big", 64), ("small", 64)]
    assert here.engines["big"].resized == [2048]  # type: ignore[attr-defined]  # the test's own engine
    assert "model=small" in question.notes[HEADER]
    assert "answered-by=small" in question.notes[HEADER]
    assert policy.degraded.value("big", "model") == 1
    again = ask()  # the next one does not fail first
    await policy(again, memory)
    assert memory.asked[-1] == ("small", None)
    assert "model=small" in again.notes[HEADER]


async def test_a_death_takes_fewer_steps() -> None:
    here = house()
    memory = Memory(here, context=2048, deadly=True)
    question = ask(max_tokens=1000)
    await Degrade(SMALLER, here)(question, memory)
    assert [tokens for _, tokens in memory.asked] == [1000, 800, 800]
    assert here.engines["big"].resized == [2048]  # type: ignore[attr-defined]  # the test's own engine


async def test_a_death_that_memory_did_not_cause_is_not_repeated() -> None:
    here = house()
    engine: Any = here.engines["big"]
    calls = 0

    async def poisoned(ask: Ask) -> AsyncIterable[Event]:
        nonlocal calls
        calls += 1
        engine.restarts += 1
        raise EngineDied(model="big", how="exit status 1")

    with pytest.raises(EngineDied):
        await Degrade(SMALLER, here)(ask(), poisoned)
    assert calls == 1


async def test_nothing_left_is_said() -> None:
    here = house()
    with pytest.raises(OutOfMemory, match="asking for less did not help"):
        await Degrade(DegradeOptions(), here)(ask(max_tokens=70), Memory(here, most=0))


async def test_what_must_stay_does_not_go_to_a_cloud() -> None:
    here = house(local=False)
    question = ask(max_tokens=64)
    question.keep_local()
    memory = Memory(here, most=0)
    with pytest.raises(OutOfMemory):
        await Degrade(SMALLER, here)(question, memory)
    assert {name for name, _ in memory.asked} == {"big"}


async def test_many_at_once_resize_it_once() -> None:
    here = house()
    memory = Memory(here, context=2048, deadly=True)
    policy = Degrade(SMALLER, here)
    await asyncio.gather(*(policy(ask(max_tokens=64), memory) for _ in range(8)))
    assert here.engines["big"].resized == [2048]  # type: ignore[attr-defined]  # the test's own engine


async def test_other_errors_go_to_the_client() -> None:
    here = house()

    async def fails(ask: Ask) -> AsyncIterable[Event]:
        raise EngineError(detail="it does not like you")

    with pytest.raises(PenjingError, match="does not like"):
        await Degrade(SMALLER, here)(ask(), fails)


async def test_a_whole_answer_that_breaks_off_for_memory_is_tried_again() -> None:
    here = house()
    engine: Any = here.engines["big"]
    calls = 0

    async def breaks(ask: Ask) -> AsyncIterable[Event]:
        nonlocal calls
        calls += 1
        answer = Answer.of(b"{}")
        if calls == 1:
            answer = Answer(_Source(), 200, b"application/json")
            answer.feed([b'{"half'])
            asyncio.get_running_loop().call_soon(answer.broken, engine.die())
        return answer

    events = await Degrade(SMALLER, here)(ask(max_tokens=100), breaks)
    assert isinstance(events, Answer)
    assert await events.read() == b"{}"
    assert calls == 2


class _Source:
    def pause(self, answer: Answer) -> None: ...

    def resume(self, answer: Answer) -> None: ...

    def abort(self) -> None: ...
