"""The chain: order, and what a policy of twenty lines can do."""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator
from functools import partial
from typing import Any

import pytest

from gateway.running import Serving, user
from penjing.errors import EngineDied, InvalidRequest
from penjing.gateway.ask import Ask, Call
from penjing.gateway.house import House
from penjing.gateway.options import GatewayOptions
from penjing.gateway.policies.keys import Keys
from penjing.gateway.policies.order import policies
from penjing.gateway.policies.policy import chain
from penjing.gateway.send import send
from penjing.messages import Chunk, Delta, Event, Failure, Finish, Usage


class Canned:
    """Answers itself, in events of its own."""

    async def __call__(self, ask: Ask, call_next: Call) -> AsyncIterable[Event]:
        request = ask.request
        assert request is not None
        said = request.messages[0].text
        if said == "refuse":
            raise InvalidRequest(detail="not today")
        return self._events(said) if said != "pass" else await call_next(ask)

    async def _events(self, said: str) -> AsyncIterator[Event]:
        yield Delta(text=said)
        if said == "break":
            raise EngineDied(model="m", how="broken")
        if said == "fail":
            yield Failure("c", "k", 500, "it failed")
        yield Finish()
        yield Usage(1, 2)
        yield Chunk(b"data: [DONE]\n\n")


class Wrapping:
    """Sees every byte go by."""

    def __init__(self) -> None:
        self.seen = b""

    async def __call__(self, ask: Ask, call_next: Call) -> AsyncIterable[Event]:
        return self._watched(await call_next(ask))

    async def _watched(self, events: AsyncIterable[Event]) -> AsyncIterator[Event]:
        async for event in events:
            assert isinstance(event, Chunk)
            self.seen += event.body
            yield event


async def test_the_order_is_the_order() -> None:
    order: list[str] = []

    def step(name: str) -> Any:
        async def policy(ask: Any, call_next: Any) -> Any:
            order.append(name)
            return await call_next(ask)

        return policy

    async def engine(ask: Any) -> Any:
        order.append("engine")

    await chain([step("a"), step("b")], engine)(None)  # type: ignore[arg-type]
    assert order == ["a", "b", "engine"]


def test_keys_come_first() -> None:
    assert isinstance(policies(House({}, GatewayOptions(api_keys=("k",))), {})[0], Keys)


async def test_a_policy_that_answers_itself(serving: Serving) -> None:
    async with serving() as running:
        running.gateway._call = chain([Canned()], partial(send, house=running.gateway.house))
        text = await running.stream({"messages": [user("hello")]})
        assert '"content":"hello"' in text
        assert '"finish_reason":"stop"' in text
        assert '"total_tokens":3' in text
        assert text.endswith("data: [DONE]\n\n")
        assert running.engine.requests == []
        assert "engine_died" in await running.stream({"messages": [user("break")]})
        assert "it failed" in await running.stream({"messages": [user("fail")]})
        assert (await running.chat("refuse"))[1]["error"]["message"] == "not today"
        assert (await running.chat("pass"))[0] == 200


@pytest.mark.parametrize("stream", [True, False])
async def test_a_policy_that_watches(serving: Serving, stream: bool) -> None:
    async with serving() as running:
        watching = Wrapping()
        running.gateway._call = chain([watching], partial(send, house=running.gateway.house))
        async with running.client.post(
            "/v1/chat/completions", json={"messages": [user("hi")], "stream": stream}
        ) as answer:
            assert await answer.read() == watching.seen
        assert b"Hello" in watching.seen
