"""Old versions give their files up and get them back, and what they need is never lost."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from differing_models import changed, tensors, write_gguf
from penjing.manifest import Manifest
from penjing.progress import Progress
from penjing.store import packs, places
from penjing.store.faults import LostChunks, NotInStore
from penjing.store.lease import Lease
from penjing.store.version import Version
from penjing.store.versions import Store

LAYERS = [f"blk.{number}.weight" for number in range(6)]


def add(store: Store, number: int, name: str = "test") -> Version:
    """Version `number`: that many tensors differ from version 0, and the template."""
    path = store.root.parent / f"{number}.gguf"
    write_gguf(path, changed(tensors(), *LAYERS[:number]), template=f"template {number}")
    made = store.add({"model.gguf": path}, Manifest(name=name, version=""), taking="move")
    assert not path.exists()
    return made


def content(store: Store, number: int) -> bytes:
    path = write_gguf(
        store.root.parent / "again.gguf", changed(tensors(), *LAYERS[:number]), template=f"template {number}"
    )
    return path.read_bytes()


def test_an_old_version_rests_and_wakes(store: Store) -> None:
    old, new = add(store, 0), add(store, 1)
    apart = store.usage().disk
    done = store.gc()
    assert done.rested == ("test@1",)
    assert not old.plain
    assert new.plain
    usage = store.usage()
    assert usage.disk == apart - done.freed
    assert usage.packs < 0.2 * old.bytes  # one tensor of six, and the header
    assert store.verify() == []
    stages: set[str] = set()
    path = store.path(store.find("test@1"), lambda progress: stages.add(progress.stage))
    assert path.read_bytes() == content(store, 0)
    assert stages == {"assembling"}
    assert store.gc().rested == ("test@1",)  # it is as it was


def test_what_stays_ready(store: Store) -> None:
    for number in range(4):
        add(store, number)
    store.tag("test", "stable", "test@1")
    lease = Lease(store.find("test@2").path)
    before = store.gc(dry=True)
    assert (before.rested, before.kept) == (("test@3",), {"test@2": "in use"})
    done = store.gc()
    assert (done.rested, done.kept) == (("test@3",), {"test@2": "in use"})
    assert [each.plain for each in store.versions()] == [True, True, False, True]
    lease.end()
    assert store.gc().rested == ("test@2",)


def test_resting_that_frees_nothing(store: Store, tmp_path: Path) -> None:
    path = write_gguf(tmp_path / "a.gguf", tensors())
    store.add({"model.gguf": path}, Manifest(name="test", version=""))  # a hard link to the user's own file
    add(store, 1)
    assert store.gc().rested == ()
    store.add({"x": write_gguf(tmp_path / "b.gguf", tensors(3))}, Manifest(name="other", version=""), taking="move")
    store.add({"x": write_gguf(tmp_path / "b.gguf", tensors(4))}, Manifest(name="other", version=""), taking="move")
    assert store.gc().rested == ()  # nothing in common with any


def test_removing_what_others_rest_on(store: Store) -> None:
    for number in range(3):
        add(store, number)
    store.gc()
    assert [each.plain for each in store.versions()] == [False, False, True]
    store.remove("test@3")
    assert store.verify() == []
    assert store.path(store.find("test@1")).read_bytes() == content(store, 0)
    store.remove("test@1")
    assert store.path(store.find("test@2")).read_bytes() == content(store, 1)


def test_packs_lose_what_nobody_needs(store: Store) -> None:
    for number in range(4):
        add(store, number)
    store.gc()
    assert len(packs.every(store.packs)) == 3
    store.remove("test@1")
    store.gc()
    wanted = places.needed(store.versions()).keys() - places.plain(store.versions()).keys()
    assert places.packed(store).keys() == wanted
    for version in store.versions():
        store.path(version)
    store.gc(dry=True)
    store.tag("test", "two", "test@2")
    store.tag("test", "three", "test@3")
    store.gc()
    assert packs.every(store.packs) == []


def test_any_order(store: Store) -> None:
    """Versions come, rest, wake and go; those that are there are always what they were."""
    choose = random.Random(5)
    for number in range(5):
        add(store, number)
    contents = {str(version): version.path.read_bytes() for version in store.versions()}
    for _ in range(30):
        versions = store.versions()
        act = choose.choice(["gc", "gc", "wake", "wake", "rm"])
        if act == "gc":
            store.gc()
        elif act == "wake":
            version = choose.choice(versions)
            assert store.path(version).read_bytes() == contents[str(version)]
        elif len(versions) > 2:
            store.remove(choose.choice(versions))
    assert store.verify() == []


def test_damage_is_found_and_spreads_no_further(store: Store) -> None:
    old, new = add(store, 0), add(store, 1)
    damage(old.path, 800_000)  # in the one tensor that the other has not
    assert store.gc().kept == {"test@1": "damaged"}
    (fault,) = store.verify()
    assert fault.where == "test@1: model.gguf"
    store.remove(old)
    newest = add(store, 2)
    store.gc()
    damage(newest.path)
    with pytest.raises(LostChunks):
        store.path(new)
    assert not new.plain
    assert list(store.staging.iterdir()) == []
    (pack,) = packs.every(store.packs)
    pack.write_bytes(pack.read_bytes()[:-1])
    found = {fault.where for fault in store.verify()}
    assert found == {"test@2: model.gguf", "test@3: model.gguf", str(pack)}
    (newest.folder / "manifest.json").write_text("{")
    (new.folder / "chunks").write_bytes(b"")
    assert len(store.verify()) == 3


def damage(path: Path, place: int = -3_000_000) -> None:
    path.chmod(0o600)
    with path.open("r+b") as stream:
        stream.seek(place, 2 if place < 0 else 0)
        stream.write(b"damage")


def test_waking_is_cancelled(store: Store) -> None:
    add(store, 0)
    add(store, 1)
    store.gc()

    def stop(progress: Progress) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        store.path(store.find("test@1"), stop)
    assert list(store.staging.iterdir()) == []
    assert store.path(store.find("test@1")).read_bytes() == content(store, 0)


def test_what_is_removed_before_it_wakes(store: Store) -> None:
    old, _ = add(store, 0), add(store, 1)
    store.gc()
    store.remove(store.find("test@1"))  # as another process does between finding and reading
    with pytest.raises(NotInStore):
        store.path(old)
    with pytest.raises(NotInStore):
        old.cuts()
    assert list(places.spread(old)) == []


def test_what_it_takes(store: Store) -> None:
    add(store, 0)
    add(store, 1)
    whole = store.usage()
    assert whole.apart == sum(each.bytes for each in whole.versions)
    assert [each.frees for each in whole.versions] == [each.bytes for each in whole.versions]
    store.gc()
    one, two = store.usage().versions
    freed = store.usage().disk
    store.remove(one.version)
    store.gc()
    freed -= store.usage().disk
    assert 0 <= freed - one.frees < 100_000  # its manifest and index too
    assert two.frees < two.bytes * 0.5  # the other rests on it
