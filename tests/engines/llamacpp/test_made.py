"""A file that has to be made first, with the real library."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from penjing.engines.llamacpp import LlamaCpp
from penjing.errors import EngineLoading, ModelCorrupt
from penjing.operate.supervise import Supervised
from penjing.progress import Progress, Report


async def until(holds: Callable[[], bool]) -> None:
    """Wait; pytest's own time limit ends a wait in vain."""
    while not holds():
        await asyncio.sleep(0.01)


async def test_its_making_is_part_of_loading(tiny: Path) -> None:
    go, made = threading.Event(), 0

    def make(report: Report) -> Path:
        nonlocal made
        made += 1
        report(Progress(0.42, "converting"))
        assert go.wait(30)
        report(Progress(1.0, "converting"))
        return tiny

    one = Supervised(LlamaCpp(Path("checkpoint"), "tiny", make=make))
    starting = asyncio.create_task(one.start())
    await until(lambda: one.progress.stage == "converting")
    assert one.progress.fraction == 0.42
    with pytest.raises(EngineLoading, match="42 %"):
        _ = one.address
    go.set()
    await starting
    assert one.capabilities.context == 512
    await one.stop()
    await one.start()
    await one.stop()
    assert made == 1


async def test_who_does_not_wait_any_more_ends_it(tiny: Path) -> None:
    begun, ended = threading.Event(), threading.Event()

    def make(report: Report) -> Path:
        begun.set()
        try:
            for step in range(1000):
                report(Progress(step / 1000, "converting"))
                ended.wait(0.01)
        except Exception:
            ended.set()
            raise
        return tiny

    one = LlamaCpp(Path("checkpoint"), "tiny", make=make)
    starting = asyncio.create_task(one.start())
    await until(begun.is_set)
    starting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await starting
    await until(ended.is_set)
    assert one.pid == 0


async def test_what_cannot_be_made_is_told() -> None:
    def make(report: Report) -> Path:
        raise ModelCorrupt(path="checkpoint", detail="cut")

    one = Supervised(LlamaCpp(Path("checkpoint"), "tiny", make=make))
    with pytest.raises(ModelCorrupt):
        await one.start()
    assert one.state == "failed"
