from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.running import Running, Serving, until, user
from penjing.engines.fake import Fake, Script
from penjing.gateway.ask import Ask
from penjing.gateway.dialects.openai.dialect import DIALECT
from penjing.gateway.grant import Grant
from penjing.gateway.options import GatewayOptions
from penjing.gateway.policies.canary import Canary, CanaryOptions, NoSuchCanary, drawn
from penjing.gateway.policies.route import RouteOptions
from penjing.gateway.reply import Incoming

CHAT = "/v1/chat/completions"


def arms(stable: Script | None = None, canary: Script | None = None) -> dict[str, Any]:
    return {"stable": Fake(stable, "stable"), "next": Fake(canary, "next")}


def options(share: float, **more: Any) -> GatewayOptions:
    return GatewayOptions(policies={"canary": CanaryOptions(to="next", share=share), **more})


async def arm(running: Running, conversation: str = "", **fields: Any) -> tuple[int, str, str]:
    """Status, model and arm."""
    await until(lambda: len(running.said) > 1, "ready")
    headers = {"x-penjing-conversation": conversation} if conversation else {}
    async with running.client.post(CHAT, json={"messages": [user("hi")], **fields}, headers=headers) as answer:
        said = await answer.json()
        return answer.status, said.get("model", ""), answer.headers.get("x-penjing-arm", "")


async def test_conversations_stay_with_their_arm(serving: Serving) -> None:
    async with serving(options=options(0.5), engines=arms()) as running:
        first = [await arm(running, str(number)) for number in range(40)]
        assert {model for _, model, _ in first} == {"stable", "next"}
        assert all(said == ("canary" if model == "next" else "stable") for _, model, said in first)
        assert [await arm(running, str(number)) for number in range(40)] == first
        metrics = await (await running.client.get("/metrics")).text()
        canaries = sum(model == "next" for _, model, _ in first)
        assert f'penjing_canary_requests_total{{arm="canary",status="200"}} {2 * canaries}' in metrics
        assert f'penjing_canary_tokens_total{{arm="canary",kind="completion"}} {8 * canaries}' in metrics


async def test_other_models_are_let_alone(serving: Serving) -> None:
    async with serving(options=options(1.0), engines={**arms(), "other": Fake(name="other")}) as running:
        assert await arm(running, model="other") == (200, "other", "")
        assert await arm(running, model="stable") == (200, "next", "canary")


@pytest.mark.parametrize("fault", [Script(status=500), Script(status=429), Script(die_after=0), Script(hang_after=0)])
async def test_a_canary_that_fails_is_stood_in_for_and_counted(serving: Serving, fault: Script) -> None:
    chosen = GatewayOptions(policies={"canary": CanaryOptions(to="next", share=1.0, seconds=0.3)})
    async with serving(options=chosen, engines=arms(canary=fault)) as running:
        status, model, said = await arm(running)
        assert (status, model) == (200, "stable")
        assert said.startswith("stable; canary=engine_")
        metrics = await (await running.client.get("/metrics")).text()
        assert "penjing_canary_replaced_total{code=" in metrics
        assert 'penjing_canary_requests_total{arm="stable",status="200"} 1' in metrics


async def test_a_fault_of_the_request_is_told_by_the_canary(serving: Serving) -> None:
    async with serving(options=options(1.0), engines=arms(canary=Script(status=422))) as running:
        assert (await arm(running))[0] == 400
        assert running.gateway.engines["stable"].requests == []  # type: ignore[attr-defined]  # a fake


async def test_beside_routes(serving: Serving) -> None:
    route = RouteOptions(fallback=("stable",))
    async with serving(options=options(1.0, route=route), engines=arms(canary=Script(status=500))) as running:
        status, model, said = await arm(running)
        assert (status, model, said) == (200, "stable", "stable; canary=engine_error")


async def test_the_share_can_be_changed_while_it_runs(serving: Serving) -> None:
    async with serving(options=options(0.0), engines=arms()) as running:
        assert (await arm(running))[1] == "stable"
        (canary,) = [each for each in running.gateway._policies if isinstance(each, Canary)]
        canary.reload(CanaryOptions(to="next", share=1.0))
        assert (await arm(running))[1] == "next"
        with pytest.raises(NoSuchCanary):
            canary.reload(CanaryOptions(to="gone", share=1.0))
        assert (await arm(running))[1] == "next"


def lot(key: str = "", headers: dict[bytes, bytes] | None = None, **body: Any) -> float:
    endpoint = next(each for each in DIALECT.endpoints if each.path == CHAT)
    ask = Ask(endpoint, Incoming("POST", CHAT, headers=headers or {}, body=json.dumps(body).encode()))
    ask.key = Grant(name=key)
    return drawn(ask)


@given(st.text(min_size=1), st.text())
def test_a_conversation_is_known_by_its_first_message(first: str, more: str) -> None:
    begun = lot(messages=[user(first)])
    longer = [user(first), {"role": "assistant", "content": more}, user(more)]
    assert 0 <= begun < 1
    assert lot(messages=longer) == begun
    assert lot(messages=[{"role": "system", "content": more}, *longer]) == begun
    assert lot(key="k", messages=longer) != begun


def test_what_names_a_conversation() -> None:
    header = {b"x-penjing-conversation": b"7"}
    one = lot(headers=header, messages=[user("a")], user="u")
    assert lot(headers=header, messages=[user("b")], user="v") == one
    assert lot(messages=[user("a")], user="u") == lot(messages=[user("b")], user="u") != one
    assert lot(messages=[user("u")]) != lot(messages=[user("b")], user="u")


def test_lots_are_spread_evenly() -> None:
    lots = [lot(messages=[user(str(number))]) for number in range(2000)]
    for share in (0.05, 0.5):
        assert abs(sum(each < share for each in lots) / 2000 - share) < 0.04
