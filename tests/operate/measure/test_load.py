from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest_asyncio

from penjing.engines.fake import Fake, Script
from penjing.operate.measure.load import Load, Taken, run
from penjing.operate.measure.prompts import Prompts
from penjing.operate.measure.target import Target


@pytest_asyncio.fixture
async def fake() -> AsyncIterator[Fake]:
    engine = Fake(Script(tokens=("a",) * 50))
    await engine.start()
    yield engine
    await engine.stop()


async def asked(fake: Fake, load: Load, stop: asyncio.Event | None = None) -> Taken:
    target = Target.of(fake)
    await target.meet()
    fake.requests.clear()
    return await run(target, Prompts(target), load, lambda sample: None, stop or asyncio.Event())


async def test_a_closed_load_asks_so_many_questions_of_that_shape(fake: Fake) -> None:
    taken = await asked(fake, Load(prompt=20, output=7, clients=3, requests=10))
    questions = [one for one in fake.requests if one.path == "/v1/chat/completions"]
    assert len(taken.samples) == len(questions) == 10
    assert {one.completion_tokens for one in taken.samples} == {7}
    assert len({one.body["messages"][0]["content"] for one in questions}) == 10  # nothing a cache has seen
    assert taken.seconds > 0


async def test_what_is_shared_begins_every_prompt(fake: Fake) -> None:
    await asked(fake, Load(prompt=40, output=2, requests=4, shared=20))
    texts = [one.body["messages"][0]["content"] for one in fake.requests if one.path == "/v1/chat/completions"]
    begins = {text.split("\n\n")[0] for text in texts}
    assert len(begins) == 1
    assert len(set(texts)) == 4


async def test_an_open_load_does_not_wait_for_answers(fake: Fake) -> None:
    target = Target.of(fake)
    await target.meet()
    fake.requests.clear()
    fake.script = Script(tokens=("a",) * 4, first_delay=3600)
    load, stop = Load(prompt=8, output=4, rate=200.0, requests=20), asyncio.Event()
    loading = asyncio.create_task(run(target, Prompts(target), load, lambda sample: None, stop))
    while sum(one.path == "/v1/chat/completions" for one in fake.requests) < 20:
        await asyncio.sleep(0.01)
    stop.set()
    assert not (await loading).samples  # nobody had an answer


async def test_seconds_end_it(fake: Fake) -> None:
    taken = await asked(fake, Load(prompt=8, output=4, clients=2, seconds=0.3))
    assert taken.samples


async def test_failures_are_samples_too(fake: Fake) -> None:
    target = Target.of(fake)
    await target.meet()
    fake.script = Script(tokens=("a",) * 10, die_after=3)
    taken = await run(target, Prompts(target), Load(8, 10, 2, 6), lambda sample: None, asyncio.Event())
    assert [one.error for one in taken.samples] == ["the connection broke off"] * 6


async def test_stop_keeps_what_was_measured(fake: Fake) -> None:
    fake.script = Script(tokens=("a",) * 50, delay=0.01)
    stop = asyncio.Event()
    target = Target.of(fake)
    await target.meet()
    heard: list[object] = []

    def hear(sample: object) -> None:
        heard.append(sample)
        stop.set()

    taken = await run(target, Prompts(target), Load(8, 5, 1, 1000), hear, stop)
    assert 1 <= len(taken.samples) < 10
