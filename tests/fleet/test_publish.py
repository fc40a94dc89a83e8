from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest

import hubs
from penjing.fleet.believed import Believed, path_of
from penjing.fleet.client import Hub
from penjing.fleet.faults import HubKeyRefused, HubRefused, NothingPublished
from penjing.fleet.publish import own_key, publish, renew
from penjing.progress import Progress, Transfer
from penjing.store import bundle, fetch, release_file
from penjing.store.release_file import Release, Target
from penjing.store.trust import keys
from penjing.store.trust.faults import Distrusted, RolledBack
from penjing.store.versions import Store


def test_only_what_is_new_is_sent(hub: Hub, store: Store, versions: list[str]) -> None:
    told: list[Progress] = []
    one, two = store.find("m@1"), store.find("m@2")
    first = publish(store, one, hub, own_key(), report=told.append)
    assert first.bytes == sum(chunk.bytes for chunk in set(one.cuts().chunks()))
    assert isinstance(told[-1], Transfer)
    assert (told[-1].done, told[-1].fraction) == (first.bytes, 1.0)
    second = publish(store, two, hub, own_key(), "canary")
    new = set(two.cuts().chunks()) - set(one.cuts().chunks())
    assert (second.bytes, second.counter) == (sum(chunk.bytes for chunk in new), 2)
    third = publish(store, two, hub, own_key())
    assert (third.bytes, third.counter) == (0, 3)
    believed = Believed(hub)
    assert {channel: each.manifest for channel, each in believed.release("m").channels.items()} == {
        "stable": two.digest,
        "canary": two.digest,
    }
    assert renew(hub, "m", own_key(), 7) == 4
    assert believed.release("m").expires < datetime.now(timezone.utc) + timedelta(days=7.1)
    with pytest.raises(NothingPublished):
        renew(hub, "other", own_key())


def test_what_is_published_can_be_imported_by_anybody(hub: Hub, store: Store, versions: list[str]) -> None:
    publish(store, store.find("m@2"), hub, own_key())
    there = Store(store.root.parent / "there")
    with fetch.place(hub.url) as place:
        (version,) = bundle.take(there, place, ["m:stable"])
    assert version.path.read_bytes() == store.find("m@2").path.read_bytes()
    assert [each.key for each in version.manifest.signatures] == [own_key().public.id]


def test_a_hub_that_lost_its_memory(
    hub: Hub, store: Store, versions: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(store, store.find("m@1"), hub, own_key())
    old = hub.release("m")
    publish(store, store.find("m@2"), hub, own_key(), "canary")
    with hubs.near(store.root.parent / "new") as url, Hub(url, "secret") as again:
        path_of(hub.url).rename(path_of(url))  # the new one has the old one's address
        assert publish(store, store.find("m@2"), again, own_key()).counter == 3
        assert set(Believed(again).release("m").channels) == {"stable"}
        monkeypatch.setattr(again, "release", lambda name: old)
        assert publish(store, store.find("m@2"), again, own_key()).counter == 4
        with pytest.raises(RolledBack):
            renew(again, "m", own_key())


def test_another_key_does_not_count(hub: Hub, store: Store, versions: list[str]) -> None:
    publish(store, store.find("m@1"), hub, own_key())
    with pytest.raises(HubRefused) as caught:
        publish(store, store.find("m@2"), hub, keys.make("other"))
    assert "signatures" in str(caught.value)
    with Hub(hub.url, "not the key") as stranger, pytest.raises(HubKeyRefused):
        publish(store, store.find("m@2"), stranger, own_key())


def test_nobody_gets_a_signature_by_what_the_hub_says(
    hub: Hub, store: Store, versions: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A hub that puts its own version into a channel would have it signed with the next release."""
    publish(store, store.find("m@1"), hub, own_key())
    later = datetime.now(timezone.utc) + timedelta(days=9)
    evil = Release(name="m", counter=7, expires=later, channels={"canary": Target("9", "e" * 64)})
    forged = release_file.write(evil, [keys.make("thief")])
    monkeypatch.setattr(hub, "release", lambda name: forged)
    sent: list[bytes] = []
    monkeypatch.setattr(hub, "put_release", lambda name, content: sent.append(content))
    with pytest.raises(Distrusted):
        publish(store, store.find("m@2"), hub, own_key())
    assert sent == []
