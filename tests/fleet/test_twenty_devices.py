"""Twenty devices and one hub: everything goes wrong at once, and in the end each of them has the release."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

import hubs
from fleet.adversity import mirror, slow_way, small_disk
from fleet.living import Device
from penjing.fleet.client import Hub
from penjing.fleet.publish import publish
from penjing.fleet.wire import Device as Listed
from penjing.fleet.wire import Wish
from penjing.store import bundle
from penjing.store.index import Chunk
from penjing.store.trust.keys import SigningKey
from penjing.store.version import Version
from penjing.store.versions import Store

COUNT = 20
POWER, FULL, LIED = (0, 1), 2, 3
"""Of the twenty: two that lose power, one whose disk is full, one whose mirror lies."""
AT_ONCE = 8
"""Chunks that a device asks for at the same time: so many may be asked for twice when something is killed."""
ROOM = 1.5
"""The small disk, in sizes of a version."""
PATIENCE = 120.0


def until(happened: Callable[[], bool], what: str) -> None:
    end = time.monotonic() + PATIENCE
    while not happened():
        assert time.monotonic() < end, what
        time.sleep(0.02)


def size(chunks: set[Chunk]) -> int:
    return sum(chunk.bytes for chunk in chunks)


class Fleet:
    """The hub, its devices, and who publishes."""

    def __init__(self, folder: Path, hub: hubs.RunningHub, store: Store, key: SigningKey) -> None:
        self.folder, self.hub, self.store, self.key = folder, hub, store, key
        self.devices = [Device(folder / f"{number:02}" / "device") for number in range(COUNT)]

    def publish(self, text: str) -> Version:
        version = self.store.find(text)
        with Hub(self.hub.url, self.hub.key) as office:
            publish(self.store, version, office, self.key)
        return version

    def listed(self) -> list[Listed]:
        with Hub(self.hub.url, self.hub.key) as office:
            return office.devices()

    def tokens(self) -> list[str]:
        with Hub(self.hub.url, self.hub.key) as office:
            return [office.token(Wish()) for _ in self.devices]

    def all_have(self, version: Version) -> bool:
        return all(device.has(version.digest) for device in self.devices)


@contextmanager
def following(fleet: Fleet, mirrors: str, slow: str, disk: int) -> Iterator[Callable[[], None]]:
    """All devices follow; called, the small disk becomes large enough."""
    with ExitStack() as stack:
        for number, (device, token) in enumerate(zip(fleet.devices, fleet.tokens(), strict=True)):
            device.home.parent.mkdir(parents=True)
            if number == FULL:
                grow = stack.enter_context(small_disk(device.home, disk))
            device.join(
                slow if number in POWER else fleet.hub.url, token, f"{number:02}", (mirrors,) if number == LIED else ()
            )
        for device in fleet.devices:
            device.start()
            stack.callback(device.kill)
        yield grow


def survive(fleet: Fleet, tmp_path: Path) -> None:
    """All of it."""
    one, two = fleet.publish("m@1"), fleet.store.find("m@2")
    all_one, all_two = set(one.cuts().chunks()), set(two.cuts().chunks())
    new = all_two - all_one
    place = tmp_path / "mirror"
    bundle.export(fleet.store, [one, two], place)
    forged = sorted(new)[-1]
    path = place / "chunks" / forged.name[:2] / forged.name
    path.write_bytes(bytes(255 - each for each in path.read_bytes()))
    with (
        mirror(place) as url,
        slow_way(fleet.hub.port) as (slow, faster),
        following(fleet, url, slow, int(ROOM * one.bytes)) as grow,
    ):
        faster.set()
        until(lambda: fleet.all_have(one) and all(map(Device.moved, fleet.devices)), "all have the first release")
        assert [device.moved() for device in fleet.devices] == [size(all_one)] * COUNT
        asked = fleet.hub.sent()
        assert sum(each for _, each in asked) == (COUNT - 1) * size(all_one)  # one has a mirror

        faster.clear()
        fleet.publish("m@2")
        cut_power(fleet, two, new)
        predicted = (COUNT - len(POWER) - 1) * len(new)
        until(lambda: len(fleet.hub.sent()) - len(asked) > predicted // 4, "devices fetch the second release")
        fleet.hub.stop(signal.SIGKILL)
        assert not fleet.all_have(two)
        time.sleep(1.0)  # they notice
        fleet.hub.start()
        faster.set()
        for number in POWER:
            fleet.devices[number].start()
        others = [device for number, device in enumerate(fleet.devices) if number != FULL]
        until(lambda: all(device.has(two.digest) for device in others), "all but the full one have the second release")
        until(lambda: said(fleet, FULL).state.code == "disk_full", "the full one says so")
        assert not fleet.devices[FULL].has(two.digest)
        assert fleet.devices[FULL].has(one.digest)
        grow()
        until(lambda: fleet.all_have(two), "the full one has room now")
        until(lambda: all(each.state.models == {"m": two.digest} for each in fleet.listed()), "the hub knows")
        quiet = [device for number, device in enumerate(fleet.devices) if number not in POWER]
        until(lambda: all(device.moved() > size(all_one) for device in quiet), "each has told what came")
        judge(fleet, url, forged, new, two, asked)


def cut_power(fleet: Fleet, two: Version, new: set[Chunk]) -> None:
    """Kill two devices while they fetch, each as soon as it has written something."""
    alive = set(POWER)

    def killed() -> bool:
        for number in [each for each in alive if written(fleet.devices[each])]:
            fleet.devices[number].kill()
            alive.remove(number)
        return not alive

    until(killed, "the slow ones have written something")
    for number in POWER:
        assert not fleet.devices[number].has(two.digest)
        assert len(fleet.devices[number].store.versions("m")) == 1


def written(device: Device) -> int:
    """Blocks of what is being made ready there."""
    return sum(path.stat().st_blocks for path in (device.home / "store" / "staging").glob("*/m.gguf"))


def said(fleet: Fleet, number: int) -> Listed:
    """What the hub knows of a device."""
    return next(each for each in fleet.listed() if each.name == fleet.devices[number].name)


def judge(fleet: Fleet, url: str, forged: Chunk, new: set[Chunk], two: Version, asked: list[tuple[str, int]]) -> None:
    """What moved is what was predicted, and nobody has anything else."""
    kinds = {}
    for number, device in enumerate(fleet.devices):
        assert device.store.find("m").path.read_bytes() == two.path.read_bytes()
        assert device.loads()
        kinds[number] = device.moved() - size(set(fleet.store.find("m@1").cuts().chunks()))
    quiet = [moved for number, moved in kinds.items() if number not in POWER]
    assert quiet == [size(new)] * len(quiet)  # also where the hub died in between: nothing is fetched again
    # What came before the power went is not told: all of it where no chunk was whole by then.
    assert all(0 <= kinds[number] <= size(new) for number in POWER)
    found = fleet.devices[LIED].faults()
    assert url in found
    assert forged.name in found
    assert url in said(fleet, LIED).state.detail
    hub = sum(each for _, each in fleet.hub.sent()) - sum(each for _, each in asked)
    largest = max(chunk.bytes for chunk in new)
    killed = (COUNT + len(POWER)) * AT_ONCE * largest  # by the hub's death each device's requests in flight, by theirs
    assert (COUNT - 1) * size(new) - killed <= hub <= COUNT * size(new) + killed


@pytest.mark.parametrize("database", ["sqlite", pytest.param("postgres", marks=pytest.mark.extras)])
def test_all_have_the_release_in_the_end(
    database: str, tmp_path: Path, store: Store, versions: list[str], key: SigningKey
) -> None:
    with ExitStack() as stack:
        more = ("--database", stack.enter_context(hubs.postgres())) if database == "postgres" else ()
        running = stack.enter_context(hubs.hub(tmp_path / "hub", *more))
        survive(Fleet(tmp_path / "devices", running, store, key), tmp_path)
