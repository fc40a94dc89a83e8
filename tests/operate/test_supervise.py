import asyncio
import os
import signal
from pathlib import Path

import psutil
import pytest

from penjing.engines.fake import Fake, Script
from penjing.engines.llamacpp import EngineOptions, LlamaCpp, engine, process
from penjing.errors import EngineLoading, EngineStartFailed, MachineError
from penjing.operate.supervise import Change, EngineGaveUp, Patience, Supervised
from tiny_model import Shape, write_tiny_gguf

QUICK = Patience(restarts=3, window=60, delay=0.01, longest=0.02)


async def reach(one: Supervised, state: str) -> None:
    while one.state != state:
        await asyncio.sleep(0.005)


async def back(one: Supervised, times: int) -> None:
    while one.state != "ready" or one.restarts < times:
        await asyncio.sleep(0.005)


async def test_it_passes_on_what_it_keeps() -> None:
    heard: list[Change] = []
    fake = Fake()
    one = Supervised(fake, QUICK, heard.append)
    with pytest.raises(EngineLoading):
        _ = one.address
    assert not await one.ready()
    await one.start()
    await one.start()
    assert (one.name, one.address, one.capabilities) == (fake.name, fake.address, fake.capabilities)
    assert await one.ready()
    await one.stop()
    await one.stop()
    assert fake.starts == 1
    assert [change.state for change in heard] == ["loading", "ready", "stopped", "stopped"]
    await one.start()
    assert await one.ready()
    await one.stop()


async def test_it_comes_back() -> None:
    heard: list[Change] = []
    fake = Fake()
    one = Supervised(fake, QUICK, heard.append)
    await one.start()
    for time in (1, 2):
        await fake.die("killed by SIGSEGV")
        await back(one, time)
    assert fake.starts == 3
    assert one.last_outage > 0
    await one.stop()
    assert Change("fake", "restarting", "killed by SIGSEGV", 0) in heard


async def test_while_it_restarts_it_says_so() -> None:
    fake = Fake()
    one = Supervised(fake, QUICK)
    await one.start()
    fake.script = Script(load=0.2)
    await fake.die()
    await reach(one, "restarting")
    with pytest.raises(EngineLoading):
        _ = one.address
    with pytest.raises(EngineLoading):
        _ = one.capabilities
    assert not await one.ready()
    await reach(one, "ready")
    await one.stop()


async def test_it_gives_up_and_says_why() -> None:
    fake = Fake()
    one = Supervised(fake, QUICK)
    await one.start()
    hopeless = asyncio.create_task(one.ended())
    fake.script = Script(start_error=EngineStartFailed(model="fake", detail="out of memory"))
    await fake.die()
    why = await hopeless
    assert "4 times within 60 s" in why
    assert "out of memory" in why
    assert one.state == "failed"
    with pytest.raises(EngineGaveUp):
        _ = one.address
    fake.script = Script()
    await one.stop()
    await one.start()  # a person may try again
    assert await one.ready()
    await one.stop()


async def test_old_endings_are_forgiven() -> None:
    fake = Fake()
    one = Supervised(fake, Patience(restarts=1, window=0.05, delay=0.01))
    await one.start()
    for time in (1, 2, 3):
        await fake.die()
        await back(one, time)
        await asyncio.sleep(0.1)
    await one.stop()
    assert one.restarts == 3


async def test_the_first_start_is_not_repeated() -> None:
    fake = Fake(Script(start_error=MachineError(detail="no such device")))
    one = Supervised(fake, QUICK)
    with pytest.raises(MachineError):
        await one.start()
    assert one.state == "failed"
    assert fake.starts == 1
    fake.script = Script()
    await one.start()
    await one.stop()


async def test_stop_during_a_restart() -> None:
    fake = Fake()
    one = Supervised(fake, QUICK)
    await one.start()
    fake.script = Script(load=30)
    await fake.die()
    await reach(one, "restarting")
    await one.stop()
    assert one.state == "stopped"
    assert not await fake.ready()


def test_waits_grow() -> None:
    one = Supervised(Fake(), Patience(delay=1, longest=5))
    waits = []
    for ending in range(5):
        one._endings.append(float(ending))
        waits.append(one._delay())
    assert waits == [0, 1, 2, 4, 5]


async def test_a_real_worker_killed_comes_back_by_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PENJING_HOME", str(tmp_path / "home"))
    worker = LlamaCpp(write_tiny_gguf(tmp_path / "tiny.gguf"), "tiny")
    one = Supervised(worker)
    await one.start()
    before = worker.pid
    os.kill(before, signal.SIGKILL)
    await back(one, 1)
    assert await one.ready()
    assert worker.pid not in (0, before)
    await one.stop()


async def test_a_worker_that_hangs_is_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PENJING_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(process, "GRACE", 0.2)
    monkeypatch.setattr(engine, "PATIENCE", 1.0)
    heard: list[Change] = []
    worker = LlamaCpp(write_tiny_gguf(tmp_path / "tiny.gguf"), "tiny")
    one = Supervised(worker, Patience(silence=3.0), heard.append)
    await one.start()
    before = worker.pid
    os.kill(before, signal.SIGSTOP)
    await back(one, 1)
    assert Change("tiny", "restarting", "no answer for 3 s", 0) in heard
    assert not psutil.pid_exists(before)
    assert await one.ready()
    await one.stop()


async def test_an_engine_that_cannot_even_be_tried_is_tried_again() -> None:
    fake = Fake()
    one = Supervised(fake, QUICK)
    await one.start()
    fake.script = Script(start_error=OSError(24, "Too many open files"))
    await fake.die()
    await reach(one, "failed")
    assert "Too many open files" in one.detail
    await one.stop()


async def test_an_error_nobody_foresaw_is_one_more_failed_start() -> None:
    fake = Fake()
    one = Supervised(fake, Patience(restarts=2, delay=0.01))
    await one.start()
    fake.script = Script(start_error=KeyError("default_generation_settings"))
    await fake.die()
    assert "default_generation_settings" in await asyncio.wait_for(one.ended(), 60)
    assert one.state == "failed"
    await one.stop()


async def test_it_starts_again_with_a_smaller_context(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PENJING_HOME", str(tmp_path))
    model = write_tiny_gguf(tmp_path / "tiny.gguf", Shape(context=2048))
    one = Supervised(LlamaCpp(model, "tiny", EngineOptions(max_context=2048, parallel=1)))
    await one.start()
    assert one.capabilities.context == 2048
    assert one.resize(1024)
    with pytest.raises(EngineLoading):
        _ = one.capabilities
    await back(one, 1)
    assert one.capabilities.context == 1024
    assert not one.starved
    await one.stop()
    assert not one.resize(512)


async def test_what_cannot_be_resized_says_so() -> None:
    one = Supervised(Fake())
    await one.start()
    assert not one.resize(512)
    await one.stop()


async def resting(patience: Patience = QUICK) -> tuple[Fake, Supervised]:
    fake = Fake()
    one = Supervised(fake, patience)
    await one.start()
    await one.rest()
    assert one.state == "resting"
    assert await one.ready()
    return fake, one


async def test_who_leaves_while_it_wakes_up_takes_nothing_from_the_others() -> None:
    fake, one = await resting()
    begun, go_on = asyncio.Event(), asyncio.Event()
    start = fake.start

    async def slow() -> None:
        begun.set()
        await go_on.wait()
        await start()

    fake.start = slow  # type: ignore[method-assign]  # a start that takes its time
    first, second = asyncio.create_task(one.wake()), asyncio.create_task(one.wake())
    await begun.wait()
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    go_on.set()
    await second
    assert (one.state, fake.starts) == ("ready", 2)
    await one.stop()


async def test_one_that_could_not_wake_up_tries_again() -> None:
    fake, one = await resting()
    start = fake.start

    async def short() -> None:
        fake.start = start  # type: ignore[method-assign]  # only once
        raise EngineStartFailed(model="fake", detail="no memory")

    fake.start = short  # type: ignore[method-assign]  # memory is short just now
    with pytest.raises(EngineStartFailed, match="no memory"):
        await one.wake()
    assert await one.ready()  # as one that rests
    await one.wake()
    assert (one.state, fake.starts) == ("ready", 2)
    await one.stop()


async def test_who_asks_while_it_goes_to_rest_waits_and_wakes_it() -> None:
    fake = Fake()
    one = Supervised(fake, QUICK)
    await one.start()
    begun, go_on = asyncio.Event(), asyncio.Event()
    stop = fake.stop

    async def slow() -> None:
        begun.set()
        await go_on.wait()
        await stop()

    fake.stop = slow  # type: ignore[method-assign]  # one that takes its time
    going = asyncio.create_task(one.rest())
    await begun.wait()
    woken = asyncio.create_task(one.wake())
    await asyncio.sleep(0)
    assert not woken.done()
    go_on.set()
    await asyncio.gather(going, woken)
    assert (one.state, fake.starts) == ("ready", 2)
    await one.stop()


async def test_stopped_while_it_wakes_up() -> None:
    fake, one = await resting()
    begun = asyncio.Event()

    async def endless() -> None:
        begun.set()
        await asyncio.Event().wait()

    fake.start = endless  # type: ignore[method-assign]  # one that never ends
    woken = asyncio.create_task(one.wake())
    await begun.wait()
    await one.stop()
    with pytest.raises(asyncio.CancelledError):
        await woken
    assert one.state == "stopped"


async def test_who_woke_it_up_wakes_it_up_again_where_it_was_put_to_rest_meanwhile() -> None:
    one = Supervised(Fake(), QUICK)
    await one.start()
    await one.rest()
    asleep = asyncio.Event()

    async def again() -> None:
        """Put to rest in the moment in which it is ready, before whoever waits for it has a look."""
        while one.state != "ready":
            await asyncio.sleep(0)
        await one.rest()
        asleep.set()

    resting = asyncio.create_task(again())
    await asyncio.sleep(0)
    await one.wake()
    assert one.state == "ready"
    await resting
    assert asleep.is_set()
    await one.stop()
