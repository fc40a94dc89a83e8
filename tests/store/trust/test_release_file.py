from __future__ import annotations

import json
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penjing.manifest import Manifest
from penjing.store import release_file as releases
from penjing.store.release_file import Known, Release, Target
from penjing.store.trust import keys
from penjing.store.trust.faults import BadDocument, Expired, ReleaseRefused, RolledBack, Swapped, WrongKey
from penjing.store.trust.keys import SigningKey
from penjing.store.trust.sign import identity, signed

NOW = datetime(2026, 11, 1, tzinfo=timezone.utc)
LATER = NOW + timedelta(days=30)
ONE, TWO = (Manifest(name="m", version=version) for version in ("1", "2"))


def key(name: str) -> SigningKey:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    return SigningKey(name, Ed25519PrivateKey.generate())


OFFLINE, SECOND, PUBLISHER, THIEF = map(key, ("offline", "second", "publisher", "thief"))


def root(*by: SigningKey, release: SigningKey = PUBLISHER, version: int = 1, threshold: int = 1) -> bytes:
    body = releases.new_root(
        [each.public for each in by], LATER, release=[release.public], threshold=threshold, version=version
    )
    return releases.write(body, by)


def release(counter: int = 1, manifest: Manifest = ONE, name: str = "m", expires: datetime = LATER) -> Release:
    target = Target(manifest.version, identity(manifest), 7)
    return Release(name=name, counter=counter, expires=expires, channels={"stable": target})


def written(counter: int = 1, manifest: Manifest = ONE, by: SigningKey = PUBLISHER, **more: object) -> bytes:
    return releases.write(release(counter, manifest, **more), [by])  # type: ignore[arg-type]


@pytest.fixture
def known() -> Known:
    return releases.pin(root(OFFLINE), NOW)


def test_a_release_is_followed_and_remembered(known: Known, tmp_path: Path) -> None:
    found, known = releases.check(written(3), known, "m", NOW)
    releases.require(found, "stable", ONE)
    again = releases.load(releases.save(known, tmp_path / "hub" / "known.json"))
    assert again == known
    assert releases.check(written(3), again, "m", NOW)[0] == found  # the same once more
    newer, known = releases.check(written(4, TWO), again, "m", NOW)
    assert newer.channels["stable"].version == "2"
    back, _ = releases.check(written(5, ONE), known, "m", NOW)  # what the publisher signs is no attack
    assert back.channels["stable"].version == "1"


def test_a_signed_manifest_is_the_same_version(known: Known) -> None:
    found, _ = releases.check(written(), known, "m", NOW)
    releases.require(found, "stable", signed(ONE, PUBLISHER))


@pytest.mark.parametrize("by", [THIEF, OFFLINE], ids=["thief", "a key of another role"])
def test_another_key(known: Known, by: SigningKey) -> None:
    with pytest.raises(WrongKey, match="0 of the 1"):
        releases.check(written(by=by), known, "m", NOW)


def test_a_device_is_not_rolled_back(known: Known) -> None:
    _, known = releases.check(written(7, TWO), known, "m", NOW)
    with pytest.raises(RolledBack, match="6, and 7"):
        releases.check(written(6), known, "m", NOW)


def test_a_device_is_not_frozen(known: Known) -> None:
    with pytest.raises(Expired, match="2026-12-01"):
        releases.check(written(), known, "m", LATER)
    with pytest.raises(Expired, match="2026-11-01"):
        releases.check(written(expires=NOW), known, "m", NOW)


def test_nothing_is_exchanged(known: Known) -> None:
    found, known = releases.check(written(2), known, "m", NOW)
    with pytest.raises(Swapped, match="release of other"):
        releases.check(written(9, name="other"), known, "m", NOW)
    with pytest.raises(Swapped, match="counter 2"):
        releases.check(written(2, TWO), known, "m", NOW)
    false = Manifest(name="m", version="1", facts={"poisoned": True})
    with pytest.raises(Swapped, match="version 1 was another"):
        releases.check(written(3, false), known, "m", NOW)
    with pytest.raises(Swapped, match="another than was signed"):
        releases.require(found, "stable", false)
    with pytest.raises(Swapped, match="no channel beta"):
        releases.require(found, "beta", ONE)


def test_a_changed_document(known: Known) -> None:
    changed = json.loads(written(2))
    changed["signed"]["counter"] = 900
    with pytest.raises(WrongKey):
        releases.check(json.dumps(changed).encode(), known, "m", NOW)


def test_what_a_newer_penjing_says_besides(known: Known) -> None:
    """A field that is not known here is signed all the same, and spoils nothing."""
    from penjing.store.trust.canonical import canonical
    from penjing.store.trust.sign import signature

    body = json.loads(written(2))["signed"] | {"notes": "more"}
    by = signature(PUBLISHER, b"penjing release v1\n" + canonical(body))
    document = {"signed": body, "signatures": [{"key": by.key, "value": by.value}]}
    found, _ = releases.check(json.dumps(document).encode(), known, "m", NOW)
    assert found.counter == 2


def test_roots_change_hands(known: Known) -> None:
    _, known = releases.check(written(1000), known, "m", NOW)
    second = root(OFFLINE, SECOND, release=PUBLISHER, version=2, threshold=2)
    third = root(OFFLINE, SECOND, release=SECOND, version=3, threshold=2)
    kept = releases.rotate(known, [root(OFFLINE), second], NOW)
    assert kept.root.version == 2
    assert kept.releases == known.releases
    moved = releases.rotate(known, [second, third], NOW)
    assert moved.root.version == 3
    with pytest.raises(WrongKey):
        releases.check(written(1001), moved, "m", NOW)
    assert releases.check(written(1, by=SECOND), moved, "m", NOW)[0].counter == 1  # the thief's counter is forgotten


def test_roots_that_do_not_follow(known: Known) -> None:
    with pytest.raises(WrongKey):
        releases.rotate(known, [root(THIEF, version=2)], NOW)
    with pytest.raises(RolledBack):
        releases.rotate(known, [root(OFFLINE, version=3)], NOW)
    alone = releases.new_root([OFFLINE.public, SECOND.public], LATER, threshold=2, version=2)
    with pytest.raises(WrongKey, match="1 of the 2"):
        releases.rotate(known, [releases.write(alone, [OFFLINE])], NOW)
    with pytest.raises(Expired):
        releases.rotate(known, [], LATER)


def test_one_signature_counts_once(known: Known) -> None:
    body = releases.new_root([OFFLINE.public, SECOND.public], LATER, threshold=2)
    with pytest.raises(WrongKey, match="1 of the 2"):
        releases.pin(releases.write(body, [OFFLINE, OFFLINE]), NOW)


def test_keys_under_false_names() -> None:
    body = json.loads(root(OFFLINE))
    (id,) = body["signed"]["root"]["keys"]
    body["signed"]["keys"][id] = str(THIEF.public)
    with pytest.raises(BadDocument, match="in truth"):
        releases.pin(json.dumps(body).encode(), NOW)
    body["signed"]["keys"][id] = "/etc/hostname"  # a file of this machine is no key
    with pytest.raises(BadDocument, match="missing or is none"):
        releases.pin(json.dumps(body).encode(), NOW)


@pytest.mark.parametrize(
    "content", [b"", b"{}", b"[" * 5000, b'{"signed": {"kind": "root"}}', b"x" * (releases.LARGEST + 1), root(OFFLINE)]
)
def test_what_is_no_release(known: Known, content: bytes) -> None:
    with pytest.raises(BadDocument):
        releases.check(content, known, "m", NOW)


@given(st.integers(0, 10_000), st.integers(1, 255))
def test_no_flipped_bit_is_followed(place: int, mask: int) -> None:
    known = releases.pin(root(OFFLINE), NOW)
    content = bytearray(GOOD)
    content[place % len(content)] ^= mask
    try:
        found, _ = releases.check(bytes(content), known, "m", NOW)
    except ReleaseRefused:
        return
    assert found == release()  # white space, or the names of signatures' members that nobody reads


GOOD = written()


def test_keys_of_this_machine_sign(known: Known, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PENJING_HOME", str(tmp_path))
    own = keys.make("own")
    known = releases.pin(root(OFFLINE, release=own), NOW)
    assert releases.check(written(by=keys.load("own")), known, "m", NOW)[0].counter == 1
