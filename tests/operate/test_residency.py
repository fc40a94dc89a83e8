"""Several real models in less memory than they need together."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from gateway.running import until
from operate.living import ask, living
from penjing.engines.llamacpp import EngineOptions, LlamaCpp
from penjing.errors import ModelTooBig
from penjing.gateway.app import Gateway
from penjing.operate.residency import NotServed, Residency, ResidencyOptions, wanted
from penjing.operate.supervise import Supervised
from penjing.operate.upgrade import Upgrade
from tiny_model import Shape, write_tiny_gguf

NAMES = ("a", "b", "c")
OPTIONS = EngineOptions(parallel=2, max_context=256)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("three")
    return {name: write_tiny_gguf(folder / f"{name}.gguf", Shape(context=256)) for name in NAMES}


async def needed(path: Path) -> int:
    """What one of them takes."""
    return (await LlamaCpp(path, "x", OPTIONS).foresee()).need.total


async def governed(files: dict[str, Path], fit: float, **options: Any) -> Gateway:
    """A gateway whose memory holds `fit` of its models."""
    gateway = Gateway({name: Supervised(LlamaCpp(path, name, OPTIONS)) for name, path in files.items()})
    budget = int(await needed(files["a"]) * fit)
    Residency(gateway.house, ResidencyOptions(budget=str(budget), **options), free=1 << 34)
    return gateway


def states(gateway: Gateway) -> dict[str, str]:
    return {name: getattr(engine, "state", "") for name, engine in gateway.engines.items()}


async def asked(client: aiohttp.ClientSession, model: str, tokens: int = 4) -> str:
    return await ask(client, model=model, max_tokens=tokens, ignore_eos=True)


async def test_those_that_fit_are_loaded_in_their_order_and_others_when_they_are_asked(files: dict[str, Path]) -> None:
    gateway = await governed(files, 2.5)
    async with living(gateway) as client:
        assert states(gateway) == {"a": "ready", "b": "ready", "c": "resting"}
        assert [model["ready"] for model in (await (await client.get("/v1/models")).json())["data"]] == [True] * 3
        await asked(client, "b")
        await asked(client, "a")
        await asked(client, "c")
        assert states(gateway) == {"a": "ready", "b": "resting", "c": "ready"}  # b was asked longest ago
        await asked(client, "b")
        assert states(gateway) == {"a": "resting", "b": "ready", "c": "ready"}
        metrics = await (await client.get("/metrics")).text()
        assert 'penjing_model_evictions_total{model="b"} 1' in metrics
        assert 'penjing_model_load_seconds_count{model="c"} 1' in metrics


async def test_an_answer_under_way_is_never_broken_off_and_nobody_starves(files: dict[str, Path]) -> None:
    gateway = await governed(files, 1.5)
    async with living(gateway) as client:
        turns = [asyncio.create_task(asked(client, NAMES[number % 3], 60)) for number in range(12)]
        texts = await asyncio.gather(*turns)
        assert all(texts)
        assert sum(state == "ready" for state in states(gateway).values()) == 1


async def test_pinned_ones_stay(files: dict[str, Path]) -> None:
    gateway = await governed(files, 2.5, pin=("c",), preload=("none",))
    async with living(gateway) as client:
        assert states(gateway) == {"a": "resting", "b": "resting", "c": "ready"}
        for name in ("a", "b", "a", "b"):
            await asked(client, name)
            assert states(gateway)["c"] == "ready"


async def test_what_never_fits_is_told_before_it_is_loaded(files: dict[str, Path], tmp_path: Path) -> None:
    large = write_tiny_gguf(tmp_path / "large.gguf", Shape(layers=4, width=512, feed_forward=2048, context=256))
    gateway = await governed({**files, "large": large}, 1.2)
    async with living(gateway) as client:
        assert isinstance(gateway.house.failed["large"], ModelTooBig)
        body = {"model": "large", "messages": [{"role": "user", "content": "hi"}]}
        answer = await client.post("/v1/chat/completions", json=body)
        assert answer.status == 507
        assert (await answer.json())["error"]["code"] == "model_too_big"
        await asked(client, "a")


async def test_beside_a_pinned_one_another_may_have_no_room(files: dict[str, Path]) -> None:
    gateway = await governed(files, 1.5, pin=("a",), preload=("none",))
    async with living(gateway) as client:
        answer = await client.post(
            "/v1/chat/completions", json={"model": "b", "messages": [{"role": "user", "content": "hi"}]}
        )
        assert answer.status == 507
        assert "the budget leaves" in (await answer.json())["error"]["message"]
        await asked(client, "a")


async def test_who_is_not_asked_leaves(files: dict[str, Path]) -> None:
    gateway = await governed(files, 9, idle_unload="300ms", pin=("a",))
    async with living(gateway) as client:
        await until(lambda: states(gateway) == {"a": "ready", "b": "resting", "c": "resting"}, "b and c to leave")
        assert await asked(client, "b")


async def test_another_version_of_one_that_rests_gets_room_too(files: dict[str, Path]) -> None:
    gateway = await governed(files, 1.5)
    async with living(gateway) as client:
        assert states(gateway) == {"a": "ready", "b": "resting", "c": "resting"}
        await Upgrade(gateway.house)("b", LlamaCpp(files["c"], "b", OPTIONS), "b@2")
        await asked(client, "b")
        assert states(gateway) == {"a": "resting", "b": "ready", "c": "resting"}


async def test_names_must_be_served_here(files: dict[str, Path]) -> None:
    with pytest.raises(NotServed, match="'x' is no model"):
        await governed(files, 2, pin=("x",))


def test_one_model_needs_nobody_to_decide(files: dict[str, Path]) -> None:
    one = [Supervised(LlamaCpp(files["a"], "a", OPTIONS))]
    assert not wanted(ResidencyOptions(), one)
    assert wanted(ResidencyOptions(idle_unload="1m"), one)
    assert wanted(ResidencyOptions(), one * 2)
