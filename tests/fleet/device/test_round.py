from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest import mock

import pytest

from penjing.fleet.client import Hub
from penjing.fleet.device import joined
from penjing.fleet.device.joined import join, leave
from penjing.fleet.device.round import sync
from penjing.fleet.faults import BadToken, HubAway, HubKeyRefused, JoinedAlready, NotJoined, OtherHub, TokenUsed
from penjing.fleet.publish import own_key, publish
from penjing.fleet.wire import Change, Wish
from penjing.manifest import Manifest
from penjing.store import admitting, channels
from penjing.store.trust import admit, book
from penjing.store.trust.faults import UnknownSigner
from penjing.store.versions import Store


@contextmanager
def machine(home: Path) -> Iterator[Store]:
    """Another machine in the block; its store."""
    with mock.patch.dict(os.environ, PENJING_HOME=str(home)):
        yield Store()


@pytest.fixture
def office(hub: Hub, store: Store, versions: list[str]) -> Hub:
    """The first version is out."""
    publish(store, store.find("m@1"), hub, own_key())
    return hub


@pytest.fixture
def there(office: Hub, tmp_path: Path) -> Path:
    """The home of a device that has joined."""
    with machine(tmp_path / "device"):
        join(office.url, office.token(Wish()), "one")
    return tmp_path / "device"


def test_a_device_follows(office: Hub, store: Store, there: Path) -> None:
    one, two = store.find("m@1"), store.find("m@2")
    with machine(there) as mine:
        first = sync(mine)
        assert [str(each) for each in first.changed] == ["m@1"]
        assert first.moved == sum(chunk.bytes for chunk in set(one.cuts().chunks()))
        assert admit.admit(admitting.of_version(mine.find("m"))).state == "signed"
        again = sync(mine)
        assert (again.changed, again.moved, again.faults) == ([], 0, [])
    publish(store, two, office, own_key())
    with machine(there) as mine:
        second = sync(mine)
        new = set(two.cuts().chunks()) - set(one.cuts().chunks())
        assert second.moved == sum(chunk.bytes for chunk in new)
        assert mine.find("m").path.read_bytes() == two.path.read_bytes()
        assert [(each.what, each.by) for each in channels.read(mine, "m").decisions] == [("promoted", "hub")] * 2
    publish(store, one, office, own_key())  # back again: nothing is fetched
    with machine(there) as mine:
        third = sync(mine)
        assert (third.moved, [str(each) for each in third.changed]) == (0, ["m@1"])
    (listed,) = office.devices()
    assert listed.state.models == {"m": one.digest}
    assert listed.state.fetched == first.moved + second.moved
    assert (listed.name, listed.state.doing, listed.state.code) == ("one", "resting", "")


def test_what_is_sent_is_what_the_page_says(office: Hub, there: Path) -> None:
    """docs/en/hub.md lists it."""
    with machine(there) as mine:
        (there / "own").write_bytes(b"private")
        mine.add({"own.gguf": there / "own"}, Manifest(name="own", version=""))
        with mock.patch.object(Hub, "ask", autospec=True, side_effect=Hub.ask) as asked:
            sync(mine)
    bodies = [json.loads(call.args[3]) for call in asked.call_args_list if len(call.args) > 3 and call.args[3]]
    assert bodies
    for body in bodies:
        assert set(body) == {"doing", "models", "code", "detail", "fetched", "penjing"}
        assert set(body["models"]) <= {"m"}


def test_channels_and_models_of_a_device(office: Hub, store: Store, there: Path) -> None:
    office.change("one", Change(channel="canary"))
    with machine(there) as mine:
        ((name, fault),) = sync(mine).faults
        assert (name, fault.code) == ("m", "not_published")
        assert mine.versions() == []
    assert office.devices()[0].state.code == "not_published"
    publish(store, store.find("m@2"), office, own_key(), "canary")
    office.change("one", Change(models=("other*",)))
    with machine(there) as mine:
        assert sync(mine).changed == []
    office.change("one", Change(models=("other*", "M")))
    with machine(there) as mine:
        assert sync(mine).changed[0].digest == store.find("m@2").digest


def test_what_is_pinned_stays(office: Hub, store: Store, there: Path) -> None:
    with machine(there) as mine:
        sync(mine)
        channels.pin(mine, mine.find("m@1"), on=True)
    publish(store, store.find("m@2"), office, own_key())
    with machine(there) as mine:
        went = sync(mine)
        assert (went.changed, went.moved, went.failed and went.failed.code) == ([], 0, "model_pinned")
        assert len(mine.versions()) == 1
        channels.pin(mine, mine.find("m@1"), on=False)
        assert [each.number for each in sync(mine).changed] == [2]


def test_one_model_that_fails_keeps_no_other_from_its_release(office: Hub, store: Store, there: Path) -> None:
    store.add({"m.gguf": store.find("m@2").path}, Manifest(name="a-first", version=""))
    publish(store, store.find("a-first"), office, own_key())
    real = office.release("a-first")
    with machine(there) as mine:
        broken = real.replace(b'"counter": 1', b'"counter": 2')
        release = Hub.release
        with mock.patch.object(Hub, "release", lambda self, name: broken if name == "a-first" else release(self, name)):
            went = sync(mine)
        assert [(name, fault.code) for name, fault in went.faults] == [("a-first", "release_wrong_key")]
        assert [each.name for each in went.changed] == ["m"]


def test_joining(office: Hub, there: Path, tmp_path: Path) -> None:
    token = office.token(Wish())
    with machine(there):
        with pytest.raises(JoinedAlready):
            join(office.url, token)
        assert [each.name for each in book.every()] == [f"publisher-{own_id(tmp_path)}"]
    with machine(tmp_path / "other"):
        with pytest.raises(NotJoined):
            sync(Store())
        with pytest.raises(BadToken):
            join(office.url, "nonsense")
        with pytest.raises(OtherHub):
            join(office.url, token[:-4] + ("AAAA" if token[-4:] != "AAAA" else "BBBB"))
        join(office.url, token)
    with machine(tmp_path / "third"), pytest.raises(TokenUsed):
        join(office.url, token)


def own_id(tmp_path: Path) -> str:
    with machine(tmp_path / "home"):
        return own_key().public.id


def test_a_lost_answer_is_no_second_use(office: Hub, tmp_path: Path) -> None:
    token = office.token(Wish())
    enrol = Hub.enrol

    def lost(self: Hub, asked: object) -> object:
        enrol(self, asked)  # type: ignore[arg-type]  # passed on as it is
        raise HubAway(hub=self.url, detail="the answer was lost")

    with machine(tmp_path / "device"):
        with mock.patch.object(Hub, "enrol", lost), pytest.raises(HubAway):
            join(office.url, token)
        join(office.url, token)
    assert len(office.devices()) == 1


def test_leaving(office: Hub, there: Path) -> None:
    with machine(there) as mine:
        sync(mine)
        known, heard = leave()
        assert (known.orders.name, heard) == ("one", True)
        assert office.devices() == []
        assert book.every() == ()
        assert mine.find("m").path.exists()
        with pytest.raises(UnknownSigner):  # nobody vouches for it any more
            admit.admit(admitting.of_version(mine.find("m")))
        with pytest.raises(NotJoined):
            leave()


def test_a_device_that_was_forgotten(office: Hub, there: Path) -> None:
    office.forget("one")
    with machine(there) as mine:
        with pytest.raises(HubKeyRefused):
            sync(mine)
        assert leave()[1]


def test_a_hub_that_is_away(there: Path) -> None:
    with machine(there) as mine:
        joined.save(joined.Joined(**{**fields(), "url": "http://127.0.0.1:9"}))
        quick = mock.patch("penjing.sources.patience.Patience.pause", return_value=0.0)
        with quick, pytest.raises(HubAway):
            sync(mine)
        with quick:
            assert leave()[1] is False


def fields() -> dict[str, object]:
    known = joined.joined()
    return {name: getattr(known, name) for name in known.__struct_fields__}
