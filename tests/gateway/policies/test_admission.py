"""The line before an engine over HTTP: with fakes that take their time, clients that leave, and a real server."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import aiohttp
import openai
import pytest

from gateway.running import Held, Running, Serving, finish, launch, until, user
from penjing.engines.fake import Fake, Script
from penjing.gateway.ask import Ask
from penjing.gateway.dialects.table import Table
from penjing.gateway.house import House
from penjing.gateway.keyring.book import Book
from penjing.gateway.keyring.key import Rights
from penjing.gateway.options import GatewayOptions
from penjing.gateway.policies.admission import STEP, Admission, AdmissionOptions, deadline
from penjing.gateway.policies.policy import Policy
from penjing.gateway.policies.route import RouteOptions
from penjing.gateway.reply import Incoming

CHAT = "/v1/chat/completions"


def admitting(**given: Any) -> GatewayOptions:
    return GatewayOptions(policies={"admission": AdmissionOptions(**given)})


def at_work(running: Running) -> int:
    return sum(one.outcome == "running" for one in running.engine.requests)


def in_line(running: Running) -> int:
    return running.gateway.house.waiting("fake")


async def asked(running: Running, secret: str = "", **headers: str) -> tuple[int, dict[str, str], Any]:
    if secret:
        headers["Authorization"] = f"Bearer {secret}"
    async with running.client.post(CHAT, json={"messages": [user("hi")]}, headers=headers) as answer:
        return answer.status, {name.lower(): value for name, value in answer.headers.items()}, await answer.json()


async def test_an_engine_gets_as_many_as_it_has_slots_and_one_more(serving: Serving) -> None:
    engine = Held(Script(slots=2, first_delay=0.02))
    async with serving(engine) as running:
        most = 0

        async def watch() -> None:
            nonlocal most
            while True:
                most = max(most, at_work(running))
                await asyncio.sleep(0.001)

        watching = asyncio.create_task(watch())
        asking = [asyncio.create_task(asked(running)) for _ in range(30)]
        await until(lambda: in_line(running) == 27, "a line")
        engine.go_on.set()
        answers = await asyncio.gather(*asking)
        watching.cancel()
        assert [status for status, _, _ in answers] == [200] * 30
        assert most <= 3
        waited = [float(said["x-penjing-waited"]) for _, said, _ in answers if "x-penjing-waited" in said]
        assert len(waited) == 27
        assert max(waited) > 0.1
        page = await (await running.client.get("/metrics")).text()
        assert 'penjing_queue_wait_seconds_count{model="fake"} 30' in page
        assert 'penjing_queue_wait_seconds_bucket{model="fake",le="0.0"} 3' in page
        assert 'penjing_queue_depth{model="fake"} 0' in page


async def test_fair_between_keys(serving: Serving, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PENJING_HOME", str(tmp_path))
    (_, greedy), (_, modest), (_, urgent) = (
        Book().add(name, Rights(priority=priority)) for name, priority in (("greedy", 0), ("modest", 0), ("urgent", 1))
    )
    engine = Held(Script(slots=1, first_delay=0.02))
    async with serving(engine) as running:
        done: list[str] = []

        async def ask(name: str, secret: str) -> None:
            assert (await asked(running, secret))[0] == 200
            done.append(name)

        many = [asyncio.create_task(ask("greedy", greedy)) for _ in range(20)]
        await until(lambda: in_line(running) == 18, "a line")
        few = [asyncio.create_task(ask(name, key)) for name, key in (("modest", modest), ("urgent", urgent))]
        await until(lambda: in_line(running) == 20, "all of them")
        engine.go_on.set()
        await asyncio.gather(*many, *few)
        assert done.index("urgent") < done.index("modest") < 8


@pytest.mark.parametrize(
    ("given", "seconds"), [("2.5", 2.5), ("2.5s", 2.5), ("250ms", 0.25), ("0", 0.0), ("", float("inf"))]
)
def test_deadlines(given: str, seconds: float) -> None:
    incoming = Incoming("POST", CHAT, headers={b"x-penjing-deadline": given.encode()})
    endpoint = Table().endpoint(incoming)
    assert endpoint is not None
    assert deadline(Ask(endpoint, incoming)) == seconds


async def test_a_deadline_that_cannot_be_kept_is_told_at_once(serving: Serving) -> None:
    engine = Held(Script(slots=1, first_delay=0.5))
    engine.go_on.set()
    async with serving(engine, admitting(lookahead=0)) as running:
        assert (await asked(running))[0] == 200  # so that it is known how long an answer takes
        engine.go_on.clear()
        waiting = [asyncio.create_task(asked(running)) for _ in range(5)]
        await until(lambda: in_line(running) == 4, "a line")
        status, said, body = await asked(running, **{"x-penjing-deadline": "600ms"})
        assert (status, body["error"]["code"]) == (429, "deadline_exceeded")
        assert in_line(running) == 4  # nobody's turn came meanwhile
        assert int(said["retry-after"]) >= 2  # its turn comes after five answers of 0.5 s
        assert "would come in about" in body["error"]["message"]
        assert (await asked(running, **{"x-penjing-deadline": "soon"}))[0] == 400
        engine.go_on.set()
        assert [status for status, _, _ in await asyncio.gather(*waiting)] == [200] * 5


async def test_patience_has_an_end(serving: Serving) -> None:
    engine = Held(Script(slots=1))
    async with serving(engine, admitting(max_wait=0.1, lookahead=0)) as running:
        first = asyncio.create_task(asked(running))
        await until(lambda: at_work(running) == 1, "at work")
        status, said, body = await asked(running)
        assert (status, body["error"]["code"], said["retry-after"]) == (429, "deadline_exceeded", "1")
        assert "after 0.1 s" in body["error"]["message"]
        engine.go_on.set()
        assert (await first)[0] == 200
        assert len(running.engine.requests) == 1


async def test_a_full_line(serving: Serving) -> None:
    engine = Held(Script(slots=1))
    async with serving(engine, admitting(queue=2, lookahead=0)) as running:
        waiting = [asyncio.create_task(asked(running)) for _ in range(3)]
        await until(lambda: in_line(running) == 2, "a line")
        status, said, body = await asked(running)
        assert (status, body["error"]["code"], body["error"]["type"]) == (429, "queue_full", "rate_limit_error")
        assert int(said["retry-after"]) >= 1
        engine.go_on.set()
        assert [status for status, _, _ in await asyncio.gather(*waiting)] == [200] * 3
        page = await (await running.client.get("/metrics")).text()
        assert 'penjing_queue_refused_total{model="fake",code="queue_full"} 1' in page


async def test_clients_that_leave_the_line(serving: Serving) -> None:
    engine = Held(Script(slots=1))
    async with serving(engine, admitting(lookahead=0)) as running:
        first = asyncio.create_task(asked(running))
        await until(lambda: at_work(running) == 1, "at work")
        links = [await running.connect() for _ in range(20)]
        body = b'{"messages": [{"role": "user", "content": "hi"}]}'
        for _, writer in links:
            head = b"POST %b HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % (CHAT.encode(), len(body))
            writer.write(head + body)
        await until(lambda: in_line(running) == 20, "a line")
        for _, writer in links:
            writer.transport.abort()
        await until(lambda: in_line(running) == 0, "all left")
        engine.go_on.set()
        assert (await first)[0] == 200
        assert (await asked(running))[0] == 200
        assert len(running.engine.requests) == 2  # the engine never heard of the others
        assert running.gateway.house.observed.in_flight.value() == 0


async def test_streams_hold_their_place_to_the_end(serving: Serving) -> None:
    script = Script(tokens=("x ",) * 20, delay=0.02, slots=1)
    async with serving(script, admitting(lookahead=0)) as running:
        streams = [asyncio.create_task(running.stream({"messages": [user("hi")]})) for _ in range(3)]
        for _ in range(200):
            assert at_work(running) <= 1
            await asyncio.sleep(0.005)
        assert all(text.endswith("data: [DONE]\n\n") for text in await asyncio.gather(*streams))


async def test_several_answers_take_several_places(serving: Serving) -> None:
    async with serving(Script(slots=4, first_delay=0.1), admitting(lookahead=0)) as running:
        several = [asyncio.create_task(running.chat(n=3)) for _ in range(2)]
        for _ in range(25):
            assert at_work(running) <= 4
            await asyncio.sleep(0.01)
        assert [status for status, _ in await asyncio.gather(*several)] == [200, 200]
        assert (await running.chat(n=16))[0] == 200  # more than there are places


async def test_an_engine_that_died_gives_its_places_back(serving: Serving) -> None:
    async with serving(Script(slots=1, first_delay=5)) as running:
        asking = [asyncio.create_task(asked(running)) for _ in range(6)]
        await until(lambda: at_work(running) == 2 and in_line(running) == 4, "a line")
        await running.engine.die()
        await asyncio.gather(*asking)
        await running.engine.start()
        running.engine.script = Script(slots=1)
        assert (await asked(running))[0] == 200
        assert in_line(running) == 0


async def test_who_does_not_tell_its_slots_is_not_limited(serving: Serving) -> None:
    engine = Held(Script(slots=0))
    async with serving(engine) as running:
        asking = [asyncio.create_task(asked(running)) for _ in range(40)]
        await until(lambda: at_work(running) == 40, "all at work")
        engine.go_on.set()
        assert [status for status, _, _ in await asyncio.gather(*asking)] == [200] * 40


def test_switched_off_it_is_not_there() -> None:
    built: Policy | None = STEP.build(AdmissionOptions(queue=0), House({}, GatewayOptions()))
    assert built is None


def test_a_real_server_under_more_than_it_takes() -> None:
    server = launch("--parallel", "2", "--max-context", "512")
    try:

        async def ask(client: openai.AsyncOpenAI, number: int) -> str:
            answer = await client.chat.completions.create(
                model="guide", messages=[{"role": "user", "content": f"Say {number}"}], max_tokens=8
            )
            return answer.choices[0].finish_reason

        async def all_of_them() -> list[str]:
            async with openai.AsyncOpenAI(base_url=server.base, api_key="EMPTY", max_retries=0) as client:
                return list(await asyncio.gather(*(ask(client, number) for number in range(24))))

        assert {*asyncio.run(all_of_them())} <= {"stop", "length"}

        async def page() -> str:
            async with aiohttp.ClientSession() as session, session.get(f"{server.url}/metrics") as answer:
                return await answer.text()

        said = asyncio.run(page())
        assert "penjing_queue_depth" in said
        assert 'penjing_engine_requests_active{model="guide"} 0' in said
    finally:
        finish(server)


async def test_who_finds_the_line_full_may_go_elsewhere(serving: Serving) -> None:
    """A line that is full says nothing about its engine, which is asked again as soon as it has room."""
    near = Held(Script(slots=1), "near")
    engines = {"near": near, "far": Fake(Script(slots=1), name="far")}
    route = RouteOptions(fallback=("far",), failures=1, pause=60)
    options = GatewayOptions(policies={"route": route, "admission": AdmissionOptions(queue=1, lookahead=0)})
    async with serving(options=options, engines=engines) as running:
        await until(lambda: len(running.said) > 1, "ready")
        first = [asyncio.create_task(asked(running)) for _ in range(2)]
        await until(lambda: running.gateway.house.waiting("near") == 1, "a line")
        status, said, _ = await asked(running)
        assert (status, said["x-penjing-route"]) == (200, "far; tried=near:queue_full")
        near.go_on.set()
        assert [status for status, _, _ in await asyncio.gather(*first)] == [200, 200]
        _, said, _ = await asked(running)
        assert said["x-penjing-route"] == "near"


async def test_places_are_given_back_when_an_engine_fails_and_another_answers(serving: Serving) -> None:
    engines = {"near": Fake(Script(slots=1, status=500), name="near"), "far": Fake(Script(slots=1), name="far")}
    options = GatewayOptions(policies={"route": RouteOptions(fallback=("far",), failures=1000)})
    async with serving(options=options, engines=engines) as running:
        await until(lambda: len(running.said) > 1, "ready")
        answers = await asyncio.gather(*(asked(running) for _ in range(20)))
        assert [status for status, _, _ in answers] == [200] * 20
        (policy,) = [each for each in running.gateway._policies if isinstance(each, Admission)]
        assert [(line.active, len(line)) for line in policy._lines.values()] == [(0, 0), (0, 0)]
