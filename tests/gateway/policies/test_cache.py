"""Kept answers through the whole gateway: who gets them, in which form, and who does not."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from gateway.running import Running, Serving
from penjing.engines.fake import Fake, Script
from penjing.gateway.options import GatewayOptions
from penjing.gateway.policies.cache import CacheOptions

QUESTION: dict[str, Any] = {"messages": [{"role": "user", "content": "hi"}], "temperature": 0}
PATH = "/v1/chat/completions"


def options(tmp_path: Path, *keys: str, **fields: Any) -> GatewayOptions:
    cache = CacheOptions(enabled=True, path=tmp_path / "answers.sqlite", **fields)
    return GatewayOptions(api_keys=keys, policies={"cache": cache})


async def ask(running: Running, body: dict[str, Any], **headers: str) -> tuple[str, str]:
    """What the cache said of it, and the text of the answer."""
    async with running.client.post(PATH, json=body, headers=headers) as answer:
        assert answer.status == 200, await answer.text()
        said = await answer.text()
        if body.get("stream"):
            events = [json.loads(line[6:]) for line in said.split("\n") if line.startswith("data: {")]
            choices = [choice for event in events for choice in event["choices"]]
            text = "".join(choice["delta"].get("content") or "" for choice in choices)
            assert choices[-1]["finish_reason"] == "stop"
            assert said.endswith("data: [DONE]\n\n")
        else:
            text = json.loads(said)["choices"][0]["message"]["content"]
        await asyncio.to_thread(settled, running)
        return answer.headers.get("x-penjing-cache", ""), text


def settled(running: Running) -> None:
    """Wait until what was answered is kept."""
    (policy,) = [each for each in running.gateway._policies if type(each).__name__ == "Cache"]
    policy._store.settle()  # type: ignore[attr-defined]  # the one policy that has a store


@pytest.mark.parametrize("first", [False, True])
@pytest.mark.parametrize("second", [False, True])
async def test_the_same_question_gets_the_same_answer(
    serving: Serving, tmp_path: Path, first: bool, second: bool
) -> None:
    async with serving(options=options(tmp_path)) as running:
        assert await ask(running, {**QUESTION, "stream": first}) == ("miss", "Hello, world!")
        running.engine.script = Script(tokens=("another",))
        assert await ask(running, {**QUESTION, "stream": second}) == ("hit", "Hello, world!")
        assert len(running.engine.requests) == 1
        assert (await ask(running, {**QUESTION, "max_tokens": 9}))[0] == "miss"


async def test_a_stream_can_have_its_counts(serving: Serving, tmp_path: Path) -> None:
    async with serving(options=options(tmp_path)) as running:
        await ask(running, QUESTION)
        said = await running.stream({**QUESTION, "stream": True, "stream_options": {"include_usage": True}})
        usage = json.loads(said.split("\n\n")[-3].removeprefix("data: "))["usage"]
        assert usage["completion_tokens"] == 4


async def test_what_is_drawn_is_not_kept(serving: Serving, tmp_path: Path) -> None:
    drawn = {**QUESTION, "temperature": 1}
    async with serving(options=options(tmp_path)) as running:
        assert (await ask(running, drawn))[0] == ""
        assert (await ask(running, drawn))[0] == ""
        assert len(running.engine.requests) == 2


async def test_unless_it_is_pinned_or_frequent(serving: Serving, tmp_path: Path) -> None:
    drawn = {**QUESTION, "temperature": 1}
    async with serving(options=options(tmp_path / "a", pinned=("h*",))) as running:
        assert [(await ask(running, drawn))[0] for _ in range(2)] == ["miss", "hit"]
    async with serving(options=options(tmp_path / "b", frequent=2)) as running:
        assert [(await ask(running, drawn))[0] for _ in range(3)] == ["", "miss", "hit"]


async def test_nobody_reads_anothers(serving: Serving, tmp_path: Path) -> None:
    one, two = {"Authorization": "Bearer one"}, {"Authorization": "Bearer two"}
    async with serving(options=options(tmp_path / "a", "one", "two")) as running:
        assert (await ask(running, QUESTION, **one))[0] == "miss"
        assert (await ask(running, QUESTION, **two))[0] == "miss"
        assert (await ask(running, QUESTION, **one))[0] == "hit"
    async with serving(options=options(tmp_path / "b", "one", "two", shared=True)) as running:
        assert (await ask(running, QUESTION, **one))[0] == "miss"
        assert (await ask(running, QUESTION, **two))[0] == "hit"


async def test_a_client_may_say_no(serving: Serving, tmp_path: Path) -> None:
    async with serving(options=options(tmp_path)) as running:
        assert (await ask(running, QUESTION, **{"Cache-Control": "no-store"}))[0] == ""
        assert (await ask(running, QUESTION))[0] == "miss"
        running.engine.script = Script(tokens=("fresh",))
        assert await ask(running, QUESTION, **{"Cache-Control": "no-cache"}) == ("miss", "fresh")
        assert await ask(running, QUESTION) == ("hit", "fresh")


async def test_another_version_does_not_answer_for_the_one_before(serving: Serving, tmp_path: Path) -> None:
    for version in ("one", "two"):
        engine = Fake(Script(version=version))
        async with serving(options=options(tmp_path), engines={"fake": engine}) as running:
            await engine_ready(running, engine)
            assert (await ask(running, QUESTION))[0] == "miss"
            assert (await ask(running, QUESTION))[0] == "hit"


async def engine_ready(running: Running, engine: Fake) -> None:
    while not await engine.ready():
        await asyncio.sleep(0.01)


async def test_what_broke_is_not_kept(serving: Serving, tmp_path: Path) -> None:
    async with serving(Script(die_after=2), options(tmp_path)) as running:
        await running.stream({**QUESTION, "stream": True})
        running.engine.script = Script()
        assert await ask(running, QUESTION) == ("miss", "Hello, world!")


async def test_its_figures(serving: Serving, tmp_path: Path) -> None:
    async with serving(options=options(tmp_path)) as running:
        await ask(running, QUESTION)
        await ask(running, QUESTION)
        async with running.client.get("/metrics") as answer:
            figures = await answer.text()
        assert 'penjing_cache_total{found="hit"} 1' in figures
        assert 'penjing_cache_total{found="miss"} 1' in figures
