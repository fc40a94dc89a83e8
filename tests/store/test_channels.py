from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timezone
from pathlib import Path

import pytest

from penjing.errors import ModelCorrupt
from penjing.manifest import Manifest
from penjing.store import channels
from penjing.store.channels import AlreadyStable, NoCanary, NothingBefore, Pinned, Trial
from penjing.store.version import Version
from penjing.store.versions import Store


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """`m` in three versions; nobody said which is stable."""
    made = Store(tmp_path / "store")
    for number in (1, 2, 3):
        path = tmp_path / f"{number}.gguf"
        path.write_bytes(b"GGUF" + bytes([number]) * 100)
        made.add({"m.gguf": path}, Manifest(name="m", version=""))
    return made


def version(store: Store, number: int) -> Version:
    return store.find(f"m@{number}")


def trial(number: int) -> Trial:
    return Trial(number, datetime.now(timezone.utc), 0.2)


def test_a_canary_begins_and_is_promoted(store: Store) -> None:
    assert channels.canary(store, "m") is None
    channels.try_out(store, version(store, 3), trial(3))
    assert (channels.stable(store, "m").number, store.find("m:canary").number) == (2, 3)
    found = channels.canary(store, "m")
    assert found is not None
    assert (found[0].number, found[1].share) == (3, 0.2)
    channels.promote(store, found[0], by="gates", why="no gate refused it", numbers={"n": 1})
    assert (channels.stable(store, "m").number, channels.canary(store, "m")) == (3, None)
    assert "canary" not in store.tags("m")
    last = channels.read(store, "m").decisions[-1]
    assert (last.what, last.by, last.number, last.numbers) == ("promoted", "gates", 3, {"n": 1})


def test_a_rollback_ends_the_canary_then_goes_back(store: Store) -> None:
    channels.promote(store, version(store, 1))
    channels.promote(store, version(store, 2))
    channels.try_out(store, version(store, 3), trial(3))
    for stable in (2, 1, 3):  # 3 is what `m` meant before anybody said what is stable
        channels.rollback(store, "m")
        assert channels.stable(store, "m").number == stable
        assert channels.canary(store, "m") is None
    with pytest.raises(NothingBefore):
        channels.rollback(store, "m")


def test_a_version_that_was_removed_is_gone_back_behind(store: Store) -> None:
    for number in (1, 2, 3):
        channels.promote(store, version(store, number))
    store.remove(version(store, 2))
    channels.rollback(store, "m")
    assert channels.stable(store, "m").number == 1


def test_a_removed_canary_is_none(store: Store) -> None:
    channels.try_out(store, version(store, 3), trial(3))
    store.remove(version(store, 3))
    assert channels.canary(store, "m") is None


def test_what_is_pinned_stays(store: Store) -> None:
    channels.promote(store, version(store, 2))
    channels.pin(store, version(store, 1), on=True)
    acts: list[Callable[[], object]] = [
        lambda: channels.promote(store, version(store, 3)),
        lambda: channels.try_out(store, version(store, 3), trial(3)),
        lambda: channels.rollback(store, "m"),
    ]
    for act in acts:
        with pytest.raises(Pinned):
            act()
    channels.pin(store, version(store, 1), on=False)
    channels.rollback(store, "m")
    assert channels.stable(store, "m").number == 2


def test_who_judges_a_trial_ends_that_one_only(store: Store) -> None:
    channels.promote(store, version(store, 1))
    first = trial(3)
    channels.try_out(store, version(store, 3), first)
    channels.rollback(store, "m")
    with pytest.raises(NoCanary):
        channels.rollback(store, "m", trial=first)
    channels.try_out(store, version(store, 2), trial(2))
    with pytest.raises(NoCanary):
        channels.promote(store, version(store, 3), trial=first)
    assert channels.stable(store, "m").number == 1


def test_what_changes_nothing_is_refused(store: Store) -> None:
    channels.promote(store, version(store, 3))
    with pytest.raises(AlreadyStable):
        channels.promote(store, version(store, 3))
    with pytest.raises(AlreadyStable):
        channels.try_out(store, version(store, 3), trial(3))


def test_the_stamp_tells_of_every_change(store: Store) -> None:
    seen = {channels.stamp(store, "m")}
    channels.try_out(store, version(store, 3), trial(3))
    seen.add(channels.stamp(store, "m"))
    channels.rollback(store, "m")
    seen.add(channels.stamp(store, "m"))
    store.tag("m", "stable", "m@1")
    seen.add(channels.stamp(store, "m"))
    assert len(seen) == 4
    assert channels.stamp(store, "m") == channels.stamp(store, "m")


def test_a_damaged_file_is_told(store: Store) -> None:
    channels.path(store, "m").write_text("{", encoding="utf-8")
    with pytest.raises(ModelCorrupt):
        channels.canary(store, "m")
