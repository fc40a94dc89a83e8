"""What is local only never reaches an engine outside the house, whatever fails and whoever asks on its behalf."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import pytest
from aiohttp import web
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.policies.test_route import options, rule
from gateway.running import Running, Serving, until, user
from penjing.engines.fake import Fake, Script
from penjing.engines.remote import Remote
from penjing.errors import EngineBusy, EngineDied, PenjingError
from penjing.gateway.answer import Answer
from penjing.gateway.ask import Ask
from penjing.gateway.dialects.openai.dialect import DIALECT
from penjing.gateway.grant import Grant
from penjing.gateway.house import House, MustStay
from penjing.gateway.options import GatewayOptions
from penjing.gateway.policies.canary import Canary, CanaryOptions
from penjing.gateway.policies.context import ContextOptions
from penjing.gateway.policies.degrade import DegradeOptions
from penjing.gateway.policies.keys import Keys
from penjing.gateway.policies.policy import chain
from penjing.gateway.policies.route import Route, RouteOptions
from penjing.gateway.reply import Incoming
from penjing.messages import Event
from penjing.operate.supervise import Supervised

CHAT = "/v1/chat/completions"
STAY = {"x-penjing-local-only": "1"}
SECRET = "the-secret-word"
FAULTS = (
    Script(status=500),
    Script(status=503),
    Script(status=429),
    Script(status=507),
    Script(die_after=0),
    Script(die_after=2),
    Script(hang_after=0),
    Script(garble_after=0),
)


class Redirects(Fake):
    """An engine of the house that sends its callers elsewhere."""

    def __init__(self, status: int) -> None:
        super().__init__(name="device")
        self.where = ""
        self._status = status

    async def _complete(self, request: web.Request) -> web.StreamResponse:
        return web.Response(status=self._status, headers={"Location": self.where})


async def ready(running: Running) -> Fake:
    """Wait until all engines are; the cloud."""
    await until(lambda: len(running.said) > 1, "ready")
    cloud = running.gateway.engines["cloud"]
    assert isinstance(cloud, Fake)
    return cloud


def house(device: Fake | None = None) -> dict[str, Any]:
    return {"device": device or Fake(name="device"), "cloud": Fake(name="cloud", local=False)}


@pytest.mark.parametrize("value", ["1", "true", "TRUE", "yes", "", "maybe", "01", "no thanks", " true "])
@pytest.mark.parametrize("path", [CHAT, "/v1/completions", "/v1/embeddings"])
async def test_the_header_is_heard(serving: Serving, value: str, path: str) -> None:
    body = {"model": "cloud", "messages": [user("hi")], "prompt": "hi", "input": "hi"}
    fields = {CHAT: "messages", "/v1/completions": "prompt", "/v1/embeddings": "input"}
    asked = {"model": "cloud", fields[path]: body[fields[path]]}
    async with serving(engines=house()) as running:
        cloud = await ready(running)
        status, said = await running.post(path, asked, **{"x-penjing-local-only": value})
        assert (status, said["error"]["code"]) == (403, "local_only")
        assert cloud.requests == []
        assert (await running.post(path, asked, **{"x-penjing-local-only": "no"}))[0] == 200


async def test_a_key_that_must_stay(serving: Serving, monkeypatch: pytest.MonkeyPatch) -> None:
    async with serving(engines=house()) as running:
        cloud = await ready(running)
        keys = next(each for each in running.gateway._policies if isinstance(each, Keys))
        monkeypatch.setattr(keys, "admit", lambda incoming: Grant(local_only=True))
        assert (await running.chat(model="cloud"))[0] == 403
        assert (await running.chat(model="device"))[0] == 200
        # the header cannot take back what the key says
        body = {"model": "cloud", "messages": [user("hi")]}
        assert (await running.post(CHAT, body, **{"x-penjing-local-only": "0"}))[0] == 403
        assert cloud.requests == []


async def test_everything_stays_when_the_owner_says_so(serving: Serving) -> None:
    async with serving(options=options(local_only=True), engines=house()) as running:
        cloud = await ready(running)
        assert (await running.chat(model="cloud"))[0] == 403
        assert (await running.post("/v1/messages/count_tokens", {"model": "cloud", "messages": [user("hi")]}))[0] != 200
        assert cloud.requests == []


async def test_a_rule_that_keeps_holds_behind_one_that_wins(serving: Serving) -> None:
    rules = (rule(name="all", to=["cloud", "device"]), rule(name="medical", task="medical", local_only=True))
    async with serving(options=options(*rules), engines=house()) as running:
        cloud = await ready(running)
        body = {"messages": [user("hi")], "metadata": {"task": "medical"}}
        status, said = await running.post(CHAT, body)
        assert (status, said["model"]) == (200, "device")
        assert cloud.requests == []
        assert (await running.post(CHAT, {"messages": [user("hi")]}))[1]["model"] == "cloud"


async def test_a_rule_that_only_keeps_leaves_the_choice_to_the_others(serving: Serving) -> None:
    rules = (rule(name="medical", task="medical", local_only=True), rule(name="gpt", model="gpt-*", to="cloud"))
    async with serving(options=options(*rules, fallback=("device",)), engines=house()) as running:
        cloud = await ready(running)
        body = {"model": "gpt-4o", "messages": [user("hi")]}
        status, said = await running.post(CHAT, {**body, "metadata": {"task": "medical"}})
        assert (status, said["model"]) == (200, "device")
        assert cloud.requests == []
        assert (await running.post(CHAT, body))[1]["model"] == "cloud"


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("stream", [False, True])
async def test_no_failure_sends_it_out(serving: Serving, fault: Script, stream: bool) -> None:
    chosen = options(fallback=("device", "cloud"), stream_seconds=0.2, whole_seconds=0.2)
    engines = house(Fake(fault, "device"))
    async with serving(options=chosen, engines=engines) as running:
        cloud = await ready(running)
        body = {"model": "device", "messages": [user("hi")], "stream": stream, "n": 2}
        for _ in range(2):
            if fault.hang_after == 0:
                with pytest.raises((asyncio.TimeoutError, PenjingError)):
                    await asyncio.wait_for(_said(running, body), 0.6)
            else:
                await _said(running, body)
        assert cloud.requests == []


async def _said(running: Running, body: dict[str, Any]) -> bytes:
    async with running.client.post(CHAT, json=body, headers=STAY) as answer:
        return await answer.read()


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("stream", [False, True])
async def test_an_engine_of_the_house_cannot_send_it_out(serving: Serving, status: int, stream: bool) -> None:
    device = Redirects(status)
    async with serving(options=options(fallback=("device", "cloud")), engines=house(device)) as running:
        cloud = await ready(running)
        outside = web.Application()
        reached: list[str] = []

        async def reach(request: web.Request) -> web.Response:
            reached.append(request.path)
            return web.json_response({})

        outside.router.add_route("*", "/{path:.*}", reach)
        runner = web.AppRunner(outside)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        device.where = f"http://127.0.0.1:{runner.addresses[0][1]}{CHAT}"
        said = await _said(running, {"model": "device", "messages": [user(SECRET)], "stream": stream})
        assert b'"error"' in said
        assert (reached, cloud.requests) == ([], [])
        await runner.cleanup()


async def test_counts_and_summaries_stay(serving: Serving) -> None:
    chosen = GatewayOptions(policies={"context": ContextOptions(mode="summarize", summary_tokens=16)})
    engines = house(Fake(Script(context=64), "device"))
    async with serving(options=chosen, engines=engines) as running:
        cloud = await ready(running)
        messages = [user("one two three " * 12), {"role": "assistant", "content": "yes " * 30}, user("and now?")]
        await running.post(CHAT, {"model": "device", "messages": messages}, **STAY)
        await running.post(CHAT, {"model": "cloud", "messages": messages}, **STAY)
        for path in ("/v1/messages/count_tokens", "/v1/messages"):
            body = {"model": "cloud", "messages": [user("hi")], "max_tokens": 9}
            body.pop("max_tokens") if path.endswith("count_tokens") else None
            await running.post(path, body, **STAY)
        assert cloud.requests == []
        with pytest.raises(MustStay):
            await running.gateway.house.post("cloud", CHAT, b"{}", local_only=True)


async def test_a_smaller_model_elsewhere_is_no_way_out(serving: Serving) -> None:
    chosen = GatewayOptions(policies={"degrade": DegradeOptions(smaller={"device": "cloud"}, floor=1, patience=0.1)})
    device = Fake(Script(status=507), "device")
    async with serving(options=chosen, engines=house(device)) as running:
        cloud = await ready(running)
        status, _ = await running.post(CHAT, {"model": "device", "messages": [user("hi")], "max_tokens": 4}, **STAY)
        assert status != 200
        assert cloud.requests == []


async def test_a_canary_elsewhere_is_no_way_out(serving: Serving) -> None:
    policies = {
        "canary": CanaryOptions(of="device", to="cloud", share=1.0),
        "route": RouteOptions(rules=(rule(name="medical", task="medical", local_only=True),)),
    }
    async with serving(options=GatewayOptions(policies=policies), engines=house()) as running:
        cloud = await ready(running)
        assert (await running.post(CHAT, {"messages": [user("hi")]}, **STAY))[1]["model"] == "device"
        body = {"messages": [user("hi")], "metadata": {"task": "medical"}}
        assert (await running.post(CHAT, body))[1]["model"] == "device"
        assert cloud.requests == []
        assert (await running.post(CHAT, {"messages": [user("hi")]}))[1]["model"] == "cloud"


async def test_the_log_keeps_silent(serving: Serving, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG, "penjing"):
        async with serving(options=options(fallback=("device", "cloud")), engines=house(Fake(FAULTS[0]))) as running:
            await ready(running)
            await _said(running, {"model": "device", "messages": [user(SECRET)]})
    assert SECRET not in caplog.text


@pytest.mark.parametrize("url", ["http://127.0.0.1:1", "http://localhost:1", "http://192.168.0.9:8000"])
def test_an_address_is_outside_until_its_owner_says_otherwise(url: str) -> None:
    assert not Supervised(Remote(url, "m")).local
    assert Supervised(Remote(url, "m", local=True)).local


@dataclass
class Engine:
    """As much of an engine as policies look at."""

    name: str
    local: bool

    @property
    def capabilities(self) -> Any:
        raise EngineBusy(model=self.name, seconds=1)


NAMES = ("a", "b", "c", "d")


@settings(deadline=None)
@given(
    where=st.lists(st.booleans(), min_size=4, max_size=4),
    faults=st.lists(
        st.sampled_from([None, EngineDied(model="m", how=""), EngineBusy(model="m", seconds=1)]), max_size=9
    ),
    orders=st.lists(st.permutations(NAMES), min_size=2, max_size=2),
    source=st.sampled_from(["header", "key", "rule", "owner"]),
    share=st.sampled_from([0.0, 0.5, 1.0]),
    asked=st.sampled_from(["", *NAMES]),
)
def test_whatever_is_configured_and_fails(
    where: list[bool],
    faults: list[PenjingError | None],
    orders: list[list[str]],
    source: str,
    share: float,
    asked: str,
) -> None:
    engines: Any = {name: Engine(name, local) for name, local in zip(NAMES, where, strict=True)}
    here = House(engines, GatewayOptions())
    here.local_only = source == "owner"
    rules = [rule(name="r", model=["a", "b"], to=orders[0])]
    rules += [rule(name="keep", local_only=True)] * (source == "rule")
    route = Route(RouteOptions(rules=tuple(rules), fallback=tuple(orders[1]), failures=1), here)
    canary = Canary(CanaryOptions(to="d", share=share, of=asked), here)
    left: list[str] = []
    failing = iter(faults)

    class Wire:
        """Where bytes would leave."""

        def __init__(self, engine: Engine) -> None:
            self.engine = engine

        async def ask(self, method: str, path: str, body: bytes) -> Answer:
            if not self.engine.local:
                left.append(self.engine.name)
            error = next(failing, None)
            if error is not None:
                raise error
            return Answer.of(b"{}")

    here.pool = lambda name, engine: Wire(engine)  # type: ignore[method-assign, assignment, return-value, arg-type]  # a double

    async def engine(ask: Ask) -> AsyncIterable[Event]:
        return await here.open(ask.target, CHAT, ask.body, local_only=ask.local_only)

    async def run() -> None:
        endpoint = next(each for each in DIALECT.endpoints if each.path == CHAT)
        headers = {b"x-penjing-local-only": b"1"} if source == "header" else {}
        body = b'{"model": "%b", "messages": [{"role": "user", "content": "hi"}]}' % asked.encode()
        ask = Ask(endpoint, Incoming("POST", CHAT, headers=headers, body=body))
        ask.key = Grant(local_only=source == "key")
        with suppress(MustStay, EngineDied, EngineBusy):
            await chain((canary, route), engine)(ask)
        assert here.local_only or ask.local_only

    asyncio.run(run())
    assert left == []
