"""Rules and failover, with fakes in the place of devices and clouds."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from functools import partial
from typing import Any

import msgspec
import pytest

from gateway.running import Running, Serving, until, user
from penjing.engines.fake import Fake, Script
from penjing.gateway.breaker import Breaker
from penjing.gateway.cost import Prices
from penjing.gateway.grant import Grant
from penjing.gateway.options import GatewayOptions
from penjing.gateway.policies.context import ContextOptions
from penjing.gateway.policies.keys import Keys
from penjing.gateway.policies.route import NoSuchEngine, RouteOptions
from penjing.gateway.routing.rules import Rule
from penjing.plan.prices import Price

BOTH = ("device", "cloud")
CHAT = "/v1/chat/completions"
TOOL = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}


def rule(**fields: Any) -> Rule:
    return msgspec.convert(fields, Rule)


def house(device: Script | None = None, cloud: Script | None = None) -> dict[str, Any]:
    return {"device": Fake(device, "device"), "cloud": Fake(cloud, "cloud", local=False)}


def options(*rules: Rule, fallback: tuple[str, ...] = (), more: dict[str, Any] | None = None, **route: Any) -> Any:
    chosen = RouteOptions(rules=rules, fallback=fallback, **route)
    return GatewayOptions(policies={"route": chosen}, **(more or {}))


async def ask(running: Running, content: Any = "hi", headers: dict[str, str] | None = None, **fields: Any) -> Any:
    """Status, body and headers."""
    await until(lambda: len(running.said) > 1, "ready")
    body = {"messages": [user(content)], **fields}
    async with running.client.post(CHAT, json=body, headers=headers) as answer:
        data = await (answer.text() if fields.get("stream") else answer.json())
        return answer.status, data, answer.headers


def asked(running: Running, name: str) -> int:
    engine = running.gateway.engines[name]
    assert isinstance(engine, Fake)
    return len(engine.requests)


async def test_rules_choose_and_the_answer_says_which(serving: Serving) -> None:
    rules = (
        rule(name="aliases", model=["auto", "gpt-*"], tokens_under=50, to="device"),
        rule(name="long", tokens_over=100, to=["tag:big"]),
        rule(name="tools", tools=True, to="cloud"),
    )
    tags = {"tags": {"cloud": ("big",)}}
    async with serving(options=options(*rules, more=tags), engines=house()) as running:
        for content, fields, engine, name in (
            ("hi", {"model": "gpt-4o"}, "device", "aliases"),
            ("hi", {"model": "auto"}, "device", "aliases"),
            ("word " * 200, {"model": "auto"}, "cloud", "long"),
            ("hi", {"tools": [TOOL]}, "cloud", "tools"),
        ):
            status, body, headers = await ask(running, content, **fields)
            assert (status, body["model"]) == (200, engine)
            assert headers["x-penjing-route"] == f"{engine}; rule={name}"
        status, body, headers = await ask(running, model="cloud")
        assert (body["model"], headers["x-penjing-route"]) == ("cloud", "cloud")
        assert (await ask(running, model="unknown"))[0] == 404


async def test_without_rules_there_is_no_policy(serving: Serving) -> None:
    async with serving(engines=house()) as running:
        _, _, headers = await ask(running, model="cloud")
        assert "x-penjing-route" not in headers


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("fault", "code"),
    [
        (Script(status=500), "engine_error"),
        (Script(status=429), "engine_busy"),
        (Script(status=401), "engine_error"),
        (Script(die_after=0), "engine_died"),
        (Script(hang_after=0), "engine_slow"),
    ],
)
@pytest.mark.parametrize("broken", BOTH)
async def test_failover_before_the_first_byte(
    serving: Serving, broken: str, fault: Script, code: str, stream: bool
) -> None:
    (other,) = set(BOTH) - {broken}
    script = replace(fault, tokens=("a", "b"))
    seconds = 1.0 if fault.hang_after == 0 else 60.0
    chosen = options(fallback=BOTH, stream_seconds=seconds, whole_seconds=seconds)
    async with serving(options=chosen, engines=house(**{broken: script})) as running:
        status, data, headers = await ask(running, model=broken, stream=stream)
        assert status == 200
        assert ("Hello" in data) if stream else (data["choices"][0]["message"]["content"] == "Hello, world!")
        assert headers["x-penjing-route"] == f"{other}; tried={broken}:{code}"
        metrics = await (await running.client.get("/metrics")).text()
        assert f'penjing_failovers_total{{engine="{broken}",code="{code}"}} 1' in metrics


async def test_what_the_client_has_seen_the_beginning_of_is_not_begun_again(serving: Serving) -> None:
    chosen = options(fallback=BOTH)
    async with serving(options=chosen, engines=house(cloud=Script(die_after=2, delay=0.01))) as running:
        status, data, _ = await ask(running, model="cloud", stream=True)
        assert status == 200
        assert '"error"' in data
        assert asked(running, "device") == 0


async def test_a_fault_of_the_request_goes_nowhere_else(serving: Serving) -> None:
    async with serving(options=options(fallback=BOTH), engines=house(cloud=Script(status=422))) as running:
        assert (await ask(running, model="cloud"))[0] == 400
        assert asked(running, "device") == 0


async def test_the_next_one_is_asked_what_was_asked(serving: Serving) -> None:
    chosen = options(fallback=BOTH)
    policies = {**chosen.policies, "context": ContextOptions(mode="truncate")}
    engines = house(Script(context=48, die_after=0), Script(context=8192))
    async with serving(options=replace(chosen, policies=policies), engines=engines) as running:
        await until(lambda: len(running.said) > 1, "ready")
        messages = [user("one two three " * 20), {"role": "assistant", "content": "yes"}, user("and now?")]
        async with running.client.post(CHAT, json={"model": "device", "messages": messages}) as answer:
            assert answer.status == 200
            assert "x-penjing-context" not in answer.headers
        shortened = [each for each in engines["device"].requests if each.path == CHAT]
        assert {len(each.body["messages"]) for each in shortened} == {1}
        (whole,) = [each for each in engines["cloud"].requests if each.path == CHAT]
        assert whole.body["messages"] == messages


async def test_other_rules_while_it_runs(serving: Serving) -> None:
    async with serving(options=options(rule(name="a", to="cloud")), engines=house()) as running:
        assert (await ask(running))[1]["model"] == "cloud"
        assert running.gateway.reload({"route": RouteOptions(rules=(rule(name="b", to="device"),))}) == ["route"]
        assert (await ask(running))[2]["x-penjing-route"] == "device; rule=b"
        with pytest.raises(NoSuchEngine):
            running.gateway.reload({"route": RouteOptions(fallback="nobody")})
        assert (await ask(running))[2]["x-penjing-route"] == "device; rule=b"
        # what must stay is never let go again
        running.gateway.reload({"route": RouteOptions(fallback=BOTH, local_only=True)})
        running.gateway.reload({"route": RouteOptions(fallback=BOTH)})
        assert (await ask(running, model="cloud"))[1]["model"] == "device"


async def test_all_fail(serving: Serving) -> None:
    engines = house(Script(status=500), Script(status=503))
    async with serving(options=options(fallback=BOTH), engines=engines) as running:
        status, body, headers = await ask(running, model="device")
        assert (status, body["error"]["code"]) == (502, "engine_error")
        assert headers["x-penjing-route"] == "cloud; tried=device:engine_error"


async def test_an_engine_that_fails_is_left_alone_and_tried_again(
    serving: Serving, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 0.0
    monkeypatch.setattr("penjing.gateway.policies.route.Breaker", partial(Breaker, clock=lambda: now))
    engines = house(cloud=Script(status=500))
    async with serving(options=options(fallback=BOTH, failures=2, pause=60), engines=engines) as running:
        for _ in range(5):
            assert (await ask(running, model="cloud"))[0] == 200
        assert asked(running, "cloud") == 2
        assert (await ask(running, model="cloud"))[2]["x-penjing-route"] == "device; tried=cloud:circuit_open"
        metrics = await (await running.client.get("/metrics")).text()
        assert 'penjing_circuit_open{engine="cloud"} 1' in metrics
        engines["cloud"].script = Script()
        now += 60
        assert (await ask(running, model="cloud"))[1]["model"] == "cloud"


async def test_when_every_circuit_is_open_the_first_is_asked_all_the_same(serving: Serving) -> None:
    engines = house(Script(status=500), Script(status=500))
    async with serving(options=options(fallback=BOTH, failures=1, pause=60), engines=engines) as running:
        assert (await ask(running, model="device"))[0] == 502
        engines["device"].script = Script()
        assert (await ask(running, model="device"))[0] == 200


async def test_an_engine_that_could_not_be_started_is_stood_in_for(serving: Serving) -> None:
    engines = house(Script(start_error=RuntimeError("no")))
    async with serving(options=options(fallback=BOTH), engines=engines) as running:
        status, body, _ = await ask(running, model="device")
        assert (status, body["model"]) == (200, "cloud")


async def test_a_busy_device_sends_to_the_cloud(serving: Serving) -> None:
    chosen = options(rule(name="full", busy="device", to=["cloud"]))
    engines = house(Script(slots=1, first_delay=30))
    async with serving(options=chosen, engines=engines) as running:
        await until(lambda: len(running.said) > 1, "ready")
        waiting = asyncio.create_task(ask(running, model="device"))
        await until(lambda: asked(running, "device") == 1, "the device is at work")
        _, body, headers = await ask(running, model="device")
        assert (body["model"], headers["x-penjing-route"]) == ("cloud", "cloud; rule=full")
        waiting.cancel()


async def test_a_budget_that_is_spent_keeps_it_at_home(serving: Serving) -> None:
    chosen = options(rule(name="poor", budget_under=1.0, to="device"), rule(name="rich", to="cloud"))
    async with serving(options=chosen, engines=house()) as running:
        running.gateway.house.spent = {"": 9.5}.__getitem__
        keys = next(each for each in running.gateway._policies if isinstance(each, Keys))
        keys.admit = lambda incoming: Grant(monthly_budget=10.0)  # type: ignore[method-assign]  # who asks is given
        assert (await ask(running))[1]["model"] == "device"
        running.gateway.house.spent = {"": 8.0}.__getitem__
        assert (await ask(running))[1]["model"] == "cloud"


async def test_what_answers_cost_is_counted(serving: Serving) -> None:
    prices = Prices({"cloud": Price(input=1_000_000.0, output=2_000_000.0)})
    async with serving(options=GatewayOptions(prices=prices), engines=house()) as running:
        await ask(running, "one two three", model="cloud")
        await ask(running, "one two three", model="device")
        metrics = await (await running.client.get("/metrics")).text()
        assert 'penjing_spent_dollars_total{key="",engine="cloud"} 11.0' in metrics
        assert metrics.count("penjing_spent_dollars_total{") == 1


@pytest.mark.parametrize("wrong", [{"to": "claud"}, {"to": "tag:none"}, {"to": "cloud", "busy": "devise"}])
async def test_a_rule_about_an_engine_that_is_not_here(wrong: dict[str, Any], serving: Serving) -> None:
    with pytest.raises(NoSuchEngine, match="there is no such engine"):
        async with serving(options=options(rule(name="r", **wrong)), engines=house()):
            pass
