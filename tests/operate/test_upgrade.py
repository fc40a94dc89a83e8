"""Versions of a real model that take each other's place under a real load."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from gateway.running import until
from operate.living import ask, living
from penjing.engines.engine import Address
from penjing.engines.llamacpp import EngineOptions, LlamaCpp
from penjing.gateway.app import Gateway
from penjing.operate import upgrade
from penjing.operate.supervise import Supervised
from penjing.operate.upgrade import NotUpgraded, Upgrade, UpgradeOptions
from penjing.probe import machine
from penjing.store.resolve import guide
from second_guide import version_of, write_second_guide

OPTIONS = EngineOptions(parallel=2, max_context=256)


@pytest.fixture(scope="module")
def second(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_second_guide(tmp_path_factory.mktemp("second") / "second.gguf", guide())


@asynccontextmanager
async def running() -> AsyncIterator[tuple[Gateway, aiohttp.ClientSession]]:
    """The built-in model as `m`."""
    gateway = Gateway({"m": Supervised(LlamaCpp(guide(), "m", OPTIONS))})
    async with living(gateway) as client:
        yield gateway, client


async def asking(client: aiohttp.ClientSession, stop: asyncio.Event, heard: list[str]) -> None:
    while not stop.is_set():
        heard.append(await ask(client))


def version(path: Path, options: EngineOptions = OPTIONS) -> LlamaCpp:
    return LlamaCpp(path, "m", options)


@pytest.mark.parametrize(
    ("beside", "many", "times"),
    [("always", 4, 4), ("never", 4, 4), pytest.param("always", 16, 50, marks=pytest.mark.extras)],
)
async def test_nobody_notices_but_by_the_words(second: Path, beside: Any, many: int, times: int) -> None:
    async with running() as (gateway, client):
        turn = Upgrade(gateway.house, UpgradeOptions(beside=beside))
        stop = asyncio.Event()
        heard: list[list[str]] = [[] for _ in range(many)]
        clients = [asyncio.create_task(asking(client, stop, each)) for each in heard]
        for number in range(times):
            enough = [len(each) + 1 for each in heard]
            while any(len(each) < least for each, least in zip(heard, enough, strict=True)):
                await asyncio.sleep(0.01)
                assert not any(task.done() for task in clients)
            done = await turn("m", version(second if number % 2 == 0 else guide()), f"m@{number}")
            assert done.beside == (beside == "always")
            assert (done.warmed > 0) == done.beside
            assert (done.held > 0) == (not done.beside)
            text = await ask(client)
            assert version_of(text) == ({2} if number % 2 == 0 else {1})
        stop.set()
        await asyncio.gather(*clients)
        assert all(len(version_of(text)) == 1 for each in heard for text in each)  # of one version, never of both
        assert {tuple(version_of(text)) for each in heard for text in each} == {(1,), (2,)}
        metrics = await (await client.get("/metrics")).text()
        result = "beside" if beside == "always" else "after"
        assert f'penjing_upgrades_total{{model="m",result="{result}"}} {times}' in metrics


async def test_a_new_worker_that_is_killed_while_it_warms_up_changes_nothing(
    second: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    new = version(second)

    def kill(*_: Any) -> list[tuple[str, bytes]]:
        os.kill(new.pid, signal.SIGKILL)
        return [("/v1/chat/completions", b'{"messages": [{"role": "user", "content": "Hello"}], "max_tokens": 1}')]

    async with running() as (gateway, client):
        before = gateway.engines["m"].address
        monkeypatch.setattr(upgrade, "questions", kill)
        with pytest.raises(NotUpgraded, match="m@2 could not take the place of m"):
            await Upgrade(gateway.house)("m", new, "m@2")
        assert gateway.engines["m"].address == before
        assert version_of(await ask(client)) == {1}
        assert new.pid == 0


@pytest.mark.parametrize("beside", ["always", "never"])
async def test_a_version_that_cannot_be_loaded_changes_nothing(tmp_path: Path, beside: Any) -> None:
    broken = tmp_path / "broken.gguf"
    broken.write_bytes(guide().read_bytes()[:3_000_000])
    async with running() as (gateway, client):
        with pytest.raises(NotUpgraded):
            await Upgrade(gateway.house, UpgradeOptions(beside=beside))("m", version(broken), "m@2")
        assert version_of(await ask(client)) == {1}


async def test_where_both_do_not_fit_questions_wait(second: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def full(new: LlamaCpp) -> bool:
        return False

    async with running() as (gateway, client):
        monkeypatch.setattr(upgrade, "fits", full)
        kept = gateway.engines["m"]
        assert isinstance(kept, Supervised)
        old: Address = kept.address
        long = asyncio.create_task(ask(client, max_tokens=150, ignore_eos=True))
        await until(lambda: gateway.house.at_work(old) == 1, "a question")
        turning = asyncio.create_task(Upgrade(gateway.house)("m", version(second), "m@2"))
        await until(lambda: kept.state == "resting", "the turn")
        later = [asyncio.create_task(ask(client)) for _ in range(3)]
        done = await turning
        assert not done.beside
        assert version_of(await long) == {1}
        assert [version_of(text) for text in await asyncio.gather(*later)] == [{2}] * 3


async def test_one_that_rests_is_another_when_it_wakes_up(second: Path) -> None:
    async with running() as (gateway, client):
        kept = gateway.engines["m"]
        assert isinstance(kept, Supervised)
        await kept.rest()
        await Upgrade(gateway.house)("m", version(second), "m@2")
        assert kept.state == "resting"
        assert version_of(await ask(client)) == {2}


async def test_it_is_as_large_as_the_one_before_it_and_free_to_be_larger_afterwards(tmp_path: Path) -> None:
    async with running() as (gateway, _):
        new = version(guide(), EngineOptions())
        await Upgrade(gateway.house)("m", new, "m@2")
        assert gateway.engines["m"].capabilities.context == 256
        assert gateway.engines["m"].capabilities.slots == 2
        assert new.options == EngineOptions()


async def test_links_of_a_former_address_are_counted_until_they_are_done() -> None:
    async with running() as (gateway, client):
        old: Address = gateway.engines["m"].address
        long = asyncio.create_task(ask(client, max_tokens=150, ignore_eos=True))
        while not gateway.house.at_work(old):
            await asyncio.sleep(0.001)
        engine = gateway.house.remove("m")
        assert gateway.house.at_work(old) == 1
        await long
        assert gateway.house.at_work(old) == 0
        gateway.house.add("m", engine)
        assert version_of(await ask(client)) == {1}


def test_what_an_upgrade_will_be_like_is_told_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    small = upgrade.foretell(guide())
    assert small.beside
    assert small.needed > guide().stat().st_size
    here = machine.read(gpus=False)
    monkeypatch.setattr(machine, "read", lambda gpus: replace(here, memory_available=small.needed))
    assert not upgrade.foretell(guide()).beside
