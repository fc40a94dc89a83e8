from __future__ import annotations

import asyncio
from typing import Any

import pytest

from gateway.running import Serving, until
from penjing.engines.fake import Fake
from penjing.engines.never import never
from penjing.gateway import pulse
from penjing.gateway.pulse import Pulse


class Counted(Fake):
    """Counts how often it is asked; `hangs` never answers."""

    def __init__(self, name: str, local: bool, hangs: bool = False) -> None:
        super().__init__(name=name, local=local)
        self.asked = 0
        self.hangs = hangs

    async def ready(self) -> bool:
        self.asked += 1
        if self.hangs:
            await never()
        return await super().ready()


async def test_engines_elsewhere_are_asked_seldom_and_only_once_at_a_time() -> None:
    here, away = Counted("here", True), Counted("away", False)
    await here.start()
    await away.start()
    beat = Pulse()
    for _ in range(3):
        both = await asyncio.gather(*(beat.all({"here": here, "away": away}) for _ in range(4)))
        assert both == [{"here": True, "away": True}] * 4
    assert (here.asked, away.asked) == (12, 1)
    await here.stop()
    await away.stop()
    assert await beat.all({"here": here, "away": away}) == {"here": False, "away": False}


async def test_one_that_hangs_keeps_nobody_waiting(serving: Serving, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pulse, "PATIENCE", 0.1)
    engines: dict[str, Any] = {"here": Fake(name="here"), "away": Counted("away", False, hangs=True)}
    async with serving(engines=engines) as running:
        await until(lambda: len(running.said) > 1, "ready")
        status, said = await running.get("/health")
        # what is down elsewhere does not take this server out of service
        assert (status, said["status"]) == (200, "ok")
        assert {name: model["status"] for name, model in said["models"].items()} == {"here": "ready", "away": "down"}
        assert 'penjing_engine_ready{model="away"} 0' in await (await running.client.get("/metrics")).text()
        await engines["here"].die()
        assert (await running.get("/health"))[0] == 503


async def test_where_all_are_elsewhere_they_count(serving: Serving, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pulse, "PATIENCE", 0.1)
    engines = {"away": Counted("away", False, hangs=True)}
    async with serving(engines=engines) as running:
        await until(lambda: len(running.said) > 1, "ready")
        assert (await running.get("/health"))[0] == 503
