"""A hub that lies is caught, whatever it says."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone

import pytest

from penjing.fleet import token
from penjing.fleet.believed import Believed, path_of
from penjing.fleet.client import Hub
from penjing.fleet.faults import NoRoot, NothingPublished, OtherHub
from penjing.store import delta, index, release_file
from penjing.store.release_file import Release, Target
from penjing.store.trust import keys, sign
from penjing.store.trust.faults import Expired, RolledBack, Swapped, WrongKey
from penjing.store.trust.keys import SigningKey
from penjing.store.version import Version
from penjing.store.versions import Store

LATER = datetime.now(timezone.utc).replace(microsecond=0) + timedelta(days=9)


@dataclass
class Dishonest:
    """Says whatever the test wants."""

    url: str = "https://hub.example"
    roots: list[bytes] = field(default_factory=list)
    releases: dict[str, bytes] = field(default_factory=dict)
    versions: dict[str, bytes] = field(default_factory=dict)

    def root(self, version: int) -> bytes:
        if version > len(self.roots):
            raise NoRoot(hub=self.url)
        return self.roots[version - 1]

    def later_roots(self, version: int) -> list[bytes]:
        return self.roots[version:]

    def release(self, name: str) -> bytes:
        return self.releases[name]

    def version(self, digest: str) -> bytes:
        return self.versions[digest]


def root(key: SigningKey, version: int = 1, *more: SigningKey) -> bytes:
    return release_file.write(release_file.new_root([key.public], LATER, version=version), [key, *more])


def release(key: SigningKey, counter: int, target: Target, expires: datetime = LATER, name: str = "m") -> bytes:
    made = Release(name=name, counter=counter, expires=expires, channels={"stable": target})
    return release_file.write(made, [key])


def target(version: Version) -> Target:
    return Target(str(version.number), version.digest, version.bytes)


@pytest.fixture
def lying(key: SigningKey) -> Dishonest:
    return Dishonest(roots=[root(key)])


@pytest.fixture
def believed(lying: Dishonest) -> Believed:
    made = Believed(lying)  # type: ignore[arg-type]  # it answers as a Hub does
    made.refresh()
    return made


def test_the_token_says_which_hub(lying: Dishonest, key: SigningKey) -> None:
    asked = Believed(lying)  # type: ignore[arg-type]  # it answers as a Hub does
    with pytest.raises(OtherHub):
        asked.pin(token.new(root(keys.make("thief"))))
    assert not path_of(lying.url).exists()
    asked.pin(token.new(lying.roots[0]))
    assert list(asked.keys) == [key.public.id]


def test_old_releases_are_refused_also_after_a_restart(lying: Dishonest, believed: Believed, key: SigningKey) -> None:
    one, two = Target("1", "a" * 64), Target("2", "b" * 64)
    lying.releases["m"] = release(key, 2, two)
    assert believed.release("m").channels == {"stable": two}
    lying.releases["m"] = release(key, 1, one)
    for asked in (believed, Believed(lying)):  # type: ignore[arg-type]  # it answers as a Hub does
        with pytest.raises(RolledBack):
            asked.release("m")
    believed.pin(token.new(lying.roots[0]))  # joining again forgets nothing
    with pytest.raises(RolledBack):
        believed.release("m")
    lying.releases["m"] = release(key, 3, one)  # its publisher goes back
    assert believed.release("m").counter == 3


def test_what_is_not_signed_or_not_meant_is_refused(lying: Dishonest, believed: Believed, key: SigningKey) -> None:
    one = Target("1", "a" * 64)
    lying.releases["m"] = release(keys.make("thief"), 1, one)
    with pytest.raises(WrongKey):
        believed.release("m")
    lying.releases["m"] = release(key, 1, one, name="other")
    with pytest.raises(Swapped):
        believed.release("m")
    lying.releases["m"] = release(key, 1, one, datetime.now(timezone.utc) - timedelta(minutes=1))
    with pytest.raises(Expired):
        believed.release("m")
    lying.releases["m"] = release(key, 1, one)
    believed.release("m")
    lying.releases["m"] = release(key, 2, Target("1", "b" * 64))  # the same version, another model
    with pytest.raises(Swapped):
        believed.release("m")


def test_another_version_than_the_release_names(
    lying: Dishonest, believed: Believed, store: Store, versions: list[str]
) -> None:
    one, two = store.find("m@1"), store.find("m@2")
    lying.versions[one.digest] = index.encode(delta.index(two))
    with pytest.raises(Swapped):
        believed.index("m", target(one))
    lying.versions[one.digest] = index.encode(delta.index(one))
    assert believed.index("m", target(one)).digest == one.digest
    with pytest.raises(Swapped):
        believed.index("n", target(one))


def test_a_version_that_no_release_names_must_be_signed(
    lying: Dishonest, believed: Believed, store: Store, versions: list[str], key: SigningKey
) -> None:
    from penjing.store import signing

    one = store.find("m@1")
    lying.versions[one.digest] = index.encode(delta.index(one))
    with pytest.raises(WrongKey):
        believed.signed_index("m", one.digest)
    signing.sign_version(store, one, key, None)
    lying.versions[one.digest] = index.encode(delta.index(store.find("m@1")))
    assert believed.signed_index("m", one.digest).digest == one.digest
    assert sign.identity(store.find("m@1").manifest) == one.digest


def test_the_root_is_followed_only_by_its_own_word(lying: Dishonest, believed: Believed, key: SigningKey) -> None:
    new = keys.make("new")
    lying.roots.append(root(new, 2))
    with pytest.raises(WrongKey):
        believed.refresh()
    lying.roots[1] = root(new, 2, key)
    believed.refresh()
    assert list(believed.keys) == [new.public.id]
    lying.releases["m"] = release(key, 9, Target("1", "a" * 64))
    with pytest.raises(WrongKey):
        believed.release("m")


def test_nothing_published(hub: Hub) -> None:
    with pytest.raises(NothingPublished):
        hub.release("nobody-published-this")


@pytest.fixture(autouse=True)
def nothing_is_left(home: object) -> Iterator[None]:
    yield
    assert not list(path_of("x").parent.glob(".*.part"))
