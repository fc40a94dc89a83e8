from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from penjing.store.trust import keys
from penjing.store.trust.faults import BadKey, BadKeyName, KeyLocked, KeyNameTaken, NoSuchKey
from penjing.store.trust.keys import PublicKey

# RFC 8032, section 7.1, test 2: public key, message, signature
RAW = bytes.fromhex("3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c")
SIGNATURE = bytes.fromhex(
    "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da"
    "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00"
)


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PENJING_HOME", str(tmp_path))


def test_the_rfc_s_signature() -> None:
    key = PublicKey(RAW)
    assert key.good(SIGNATURE, b"\x72")
    assert not key.good(SIGNATURE, b"\x73")
    assert not key.good(b"", b"\x72")


def test_a_key_is_made_kept_and_found(tmp_path: Path) -> None:
    made = keys.make("me@home")
    path = tmp_path / "trust" / "keys" / "me@home.pem"
    if os.name != "nt":
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    again = keys.load("me@home")
    assert again.public == made.public
    assert made.public.good(again.sign(b"x"), b"x")
    assert keys.names() == ["me@home"]
    assert "PRIVATE" not in repr(made)
    with pytest.raises(KeyNameTaken):
        keys.make("me@home")
    assert keys.discard("me@home")
    with pytest.raises(NoSuchKey, match="me@home"):
        keys.load("me@home")


def test_a_key_with_a_passphrase() -> None:
    made = keys.make("own", "correct horse")
    assert keys.locked("own")
    assert keys.load("own", "correct horse").public == made.public
    for wrong in ("", "battery staple"):
        with pytest.raises(KeyLocked):
            keys.load("own", wrong)


def test_ways_to_write_a_public_key(tmp_path: Path) -> None:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    foreign = Ed25519PublicKey.from_public_bytes(RAW)
    ssh = foreign.public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode() + " somebody@somewhere\n"
    pem = foreign.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    (tmp_path / "key.pub").write_text(ssh)
    for text in (str(PublicKey(RAW)), f"  {PublicKey(RAW)}\n", ssh, pem, str(tmp_path / "key.pub")):
        assert keys.parse(text).raw == RAW


@pytest.mark.parametrize(
    "text",
    [
        "",
        "ed25519:",
        "ed25519:AAAA",
        "ed25519:!!",
        "ssh-ed25519 AAAA",
        "-----BEGIN PUBLIC KEY-----",
        "no/such/file",
        "\x00",
        "ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAAAQQC6",
        "~nobody-here/key",
    ],
)
def test_what_is_no_public_key(text: str) -> None:
    with pytest.raises(BadKey):
        keys.parse(text)


@pytest.mark.parametrize("name", ["", "../up", "a/b", ".hidden", "x" * 65])
def test_names_that_could_not_be_files(name: str) -> None:
    with pytest.raises(BadKeyName):
        keys.make(name)


def test_a_damaged_key_file(tmp_path: Path) -> None:
    keys.make("own")
    (tmp_path / "trust" / "keys" / "own.pem").write_text(
        "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"
    )
    with pytest.raises(BadKey, match=r"own\.pem"):
        keys.load("own")
