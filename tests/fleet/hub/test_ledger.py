from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from penjing.fleet import token
from penjing.fleet.faults import (
    BadDatabase,
    BadToken,
    HubKeyRefused,
    NoRoot,
    NothingPublished,
    TokenExpired,
    TokenUsed,
)
from penjing.fleet.hub import tables
from penjing.fleet.hub.ledger import Incomplete, Ledger, Overtaken
from penjing.fleet.wire import Change, Enrolment, Orders, State, Wish
from penjing.store import delta, index, release_file
from penjing.store.release_file import Release, Target
from penjing.store.trust import keys
from penjing.store.trust.faults import RolledBack, WrongKey
from penjing.store.trust.keys import SigningKey
from penjing.store.versions import Store

LATER = datetime.now(timezone.utc).replace(microsecond=0) + timedelta(days=9)


def root(key: SigningKey, version: int = 1, *more: SigningKey) -> bytes:
    made = release_file.new_root([key.public], LATER, version=version)
    return release_file.write(made, [key, *more])


def release(key: SigningKey, counter: int, channels: dict[str, Target]) -> bytes:
    return release_file.write(Release(name="m", counter=counter, expires=LATER, channels=channels), [key])


def filled(ledger: Ledger, store: Store, text: str) -> Target:
    version = store.find(text)
    for chunk in version.cuts().chunks():
        ledger.add_chunk(chunk.name, chunk.bytes)
    ledger.add_version(index.encode(delta.index(version)))
    return Target(str(version.number), version.digest, version.bytes)


def enrolled(ledger: Ledger, name: str = "one", key: str = "its key") -> Orders:
    made = token.new(b"root")
    ledger.add_token(made.secret, Wish("canary", ("m*",)))
    return ledger.enrol(Enrolment(made.secret, key, name))


def test_who_may_publish(ledger: Ledger) -> None:
    ledger.admit_publisher("admin", "secret")
    assert ledger.publisher("secret") == "admin"
    ledger.admit_publisher("admin", "another")
    for wrong in ("secret", "", "its key"):
        with pytest.raises(HubKeyRefused):
            ledger.publisher(wrong)
    enrolled(ledger)
    ledger.anybody("another")
    ledger.anybody("its key")
    with pytest.raises(HubKeyRefused):
        ledger.anybody("secret")


def test_a_token_lets_one_device_in(ledger: Ledger) -> None:
    made = token.new(b"root")
    ledger.add_token(made.secret, Wish("canary", ("m*",)))
    orders = ledger.enrol(Enrolment(made.secret, "its key", "one", "Linux x86_64"))
    assert (orders.name, orders.channel, orders.models) == ("one", "canary", ("m*",))
    assert ledger.enrol(Enrolment(made.secret, "its key", "one")) == orders  # the answer was lost
    with pytest.raises(TokenUsed):
        ledger.enrol(Enrolment(made.secret, "another's key", "two"))
    assert ledger.device("its key") == orders
    with pytest.raises(HubKeyRefused):
        ledger.device("another's key")


def test_tokens_that_are_none(ledger: Ledger) -> None:
    with pytest.raises(BadToken):
        ledger.enrol(Enrolment("never made", "key", "one"))
    ledger.add_token("old", Wish(hours=-1))
    with pytest.raises(TokenExpired):
        ledger.enrol(Enrolment("old", "key", "one"))
    assert ledger.devices() == []


def test_many_ask_with_one_token_at_once(ledger: Ledger) -> None:
    ledger.add_token("one", Wish())

    def ask(number: int) -> bool:
        try:
            ledger.enrol(Enrolment("one", f"key {number}", f"{number}"))
        except TokenUsed:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(ask, range(16))) == 1
    assert len(ledger.devices()) == 1


def test_devices_are_seen_and_changed(ledger: Ledger) -> None:
    orders = enrolled(ledger)
    state = State("failed", {"m": "d" * 64}, "disk_full", "No room", 7, "1")
    ledger.report(orders.device, state)
    (found,) = ledger.devices()
    assert (found.id, found.state, found.channel) == (orders.device, state, "canary")
    assert ledger.change("one", Change(channel="stable"))
    assert ledger.change(orders.device, Change(models=("n",)))
    assert (ledger.device("its key").channel, ledger.device("its key").models) == ("stable", ("n",))
    assert not ledger.change("two", Change(channel="stable"))
    assert ledger.change("one", Change())
    assert ledger.forget("one")
    assert not ledger.forget("one")
    with pytest.raises(HubKeyRefused):
        ledger.device("its key")


def test_versions_come_whole(ledger: Ledger, store: Store, versions: list[str]) -> None:
    version = store.find("m@1")
    content = index.encode(delta.index(version))
    chunks = [chunk.name for chunk in version.cuts().chunks()]
    assert ledger.missing([*chunks, *chunks]) == list(dict.fromkeys(chunks))
    with pytest.raises(Incomplete):
        ledger.add_version(content)
    filled(ledger, store, "m@1")
    assert ledger.missing(chunks) == []
    filled(ledger, store, "m@1")  # twice is fine
    assert ledger.version(version.digest)[0] == content
    assert [each[:3] for each in ledger.versions()] == [("m", 1, version.digest)]
    with pytest.raises(NothingPublished):
        ledger.version("f" * 64)


def test_releases_only_go_on(ledger: Ledger, store: Store, versions: list[str], key: SigningKey) -> None:
    with pytest.raises(NoRoot):
        ledger.add_release("m", release(key, 1, {}))
    assert ledger.add_root(root(key)) == 1
    assert ledger.add_root(root(key)) == 1  # again
    one = filled(ledger, store, "m@1")
    ledger.add_release("m", release(key, 2, {"stable": one}))
    with pytest.raises(RolledBack):
        ledger.add_release("m", release(key, 1, {"stable": one}))
    with pytest.raises(WrongKey):
        ledger.add_release("m", release(keys.make("thief"), 3, {"stable": one}))
    with pytest.raises(NothingPublished):  # a version that is not here
        ledger.add_release("m", release(key, 3, {"stable": Target("9", "f" * 64)}))
    assert [(each.name, each.counter) for each in ledger.released()] == [("m", 2)]


def test_the_root_changes_hands(ledger: Ledger, key: SigningKey) -> None:
    ledger.add_root(root(key))
    other = keys.make("other")
    with pytest.raises(WrongKey):
        ledger.add_root(root(other, 2))
    assert ledger.add_root(root(other, 2, key)) == 2
    assert ledger.root(2) == root(other, 2, key)
    with pytest.raises(NoRoot):
        ledger.root(3)
    ledger.add_release("m", release(other, 1, {}))
    with pytest.raises(WrongKey):
        ledger.add_release("m", release(key, 2, {}))


def test_two_publish_at_once(ledger: Ledger, key: SigningKey) -> None:
    ledger.add_root(root(key))
    documents = [release(key, 1 + number, {}) for number in range(12)]

    def put(document: bytes) -> int:
        try:
            return ledger.add_release("m", document).counter
        except (Overtaken, RolledBack):
            return 0

    with ThreadPoolExecutor(6) as pool:
        taken = list(pool.map(put, documents))
    assert ledger.released()[0].counter == max(taken) > 0


def test_a_database_that_is_none(tmp_path: Path) -> None:
    for url in ("nonsense", "oracle9://host/x", f"sqlite:///{tmp_path}/no/such/folder/x.sqlite"):
        with pytest.raises(BadDatabase) as caught:
            tables.opened(url)
        assert "secret" not in str(caught.value)
    with pytest.raises(BadDatabase) as caught:
        tables.opened("postgresql://me:secret@127.0.0.1:1/x")
    assert "secret" not in str(caught.value)
