"""The side of the server that takes over."""

from __future__ import annotations

import asyncio
import os
import socket

import pytest

from penjing.engines.engine import Engine
from penjing.engines.fake import Fake
from penjing.engines.llamacpp import EngineOptions, LlamaCpp
from penjing.operate.succession import new
from penjing.operate.succession.channel import Channel
from penjing.operate.succession.new import HEIR, Heir, heir, sizes
from penjing.operate.supervise import Supervised
from penjing.store.resolve import guide


def pair() -> tuple[Channel, Channel]:
    one, other = socket.socketpair()
    return Channel(one), Channel(other)


def test_nobody_is_an_heir_by_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(HEIR, raising=False)
    assert heir() is None


def test_an_heir_takes_what_it_is_given_and_passes_nothing_on(monkeypatch: pytest.MonkeyPatch) -> None:
    ours, theirs = socket.socketpair()
    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    Channel(ours).send("heir", sizes={"m": [512, 4]}, free=9)
    numbers = [listener.detach(), theirs.detach()]
    for number in numbers:
        os.set_inheritable(number, True)
    monkeypatch.setenv(HEIR, ",".join(map(str, numbers)))
    found = heir()
    assert found is not None
    assert HEIR not in os.environ
    with found.listener:
        assert found.listener.getsockname()[1] == port
        assert (found.sizes, found.free) == ({"m": (512, 4)}, 9)
        assert not any(os.get_inheritable(number) for number in numbers)
    found.channel.close()
    ours.close()


@pytest.mark.parametrize(("free", "crowded"), [(1 << 40, False), (1 << 10, True)])
async def test_it_is_as_large_as_the_old_one_beside_it(
    free: int, crowded: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(new, "_free", lambda: free)
    ours, theirs = pair()
    worker, other = LlamaCpp(guide(), "m", EngineOptions()), LlamaCpp(guide(), "n", EngineOptions(parallel=1))
    engines: dict[str, Engine] = {"m": Supervised(worker), "n": Supervised(other), "far": Fake()}
    found = Heir(socket.socket(), theirs, {"m": (512, 4), "n": (256, 2), "gone": (1, 1)})
    waiting = asyncio.create_task(found.before(engines))
    if crowded:
        said = await ours.hear()
        assert said["event"] == "crowded"
        assert said["free"] == "1.0 KB"
        assert not waiting.done()
        ours.send("room")
        await waiting
        assert worker.options == EngineOptions()  # it will be alone
    else:
        await waiting
        assert worker.options == EngineOptions(max_context=512, parallel=4)
        assert other.options == EngineOptions(max_context=256, parallel=1)  # as was asked
    found.ready()
    assert (await ours.hear())["event"] == "ready"
    assert worker.options == EngineOptions()
    found.listener.close()
    theirs.close()
    ours.close()


async def test_work_begins_when_the_old_server_has_left_it() -> None:
    ours, theirs = pair()
    began = asyncio.Event()

    async def work() -> None:
        began.set()

    found = Heir(socket.socket(), theirs)
    later = asyncio.create_task(found.after(work)())
    await asyncio.sleep(0.01)
    assert not began.is_set()
    ours.send("yours")
    await later
    assert began.is_set()
    found.listener.close()
    ours.close()
    theirs.close()


async def test_sizes_are_of_models_here() -> None:
    assert sizes({"far": Fake(), "not loaded": Supervised(LlamaCpp(guide(), "m"))}) == {}
