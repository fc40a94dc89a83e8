from __future__ import annotations

import os
from functools import partial
from pathlib import Path

import pytest

from penjing.settings import load
from penjing.store.seal import form, keys
from penjing.store.seal.faults import (
    CommandOfAFolder,
    KeyCommandFailed,
    KeyCommandRubbish,
    NoKeyring,
    NoPassphrase,
    NoSealKey,
    WrongSealKey,
)
from penjing.store.seal.keys import SealSettings
from penjing.store.seal.opening import open_sealed
from penjing.store.seal.sealing import seal

PASSPHRASE = "korrekt höst 盆景"


@pytest.fixture
def locked(plain: Path) -> Path:
    path = plain.with_name("locked")
    seal(plain, path, (partial(keys.passphrase_slot, PASSPHRASE),))
    return path


def opens(path: Path, means: SealSettings = SealSettings(), ask: keys.Ask | None = None) -> None:  # noqa: B008  # frozen
    open_sealed(path, means, ask)


def test_a_passphrase(locked: Path, tmp_path: Path) -> None:
    opens(locked, ask=lambda name: PASSPHRASE)
    opens(locked, ask=lambda name: "korrekt ho\u0308st 盆景")  # another keyboard's way to write the same letter
    (tmp_path / "phrase").write_text(PASSPHRASE + "\nnot this\n", encoding="utf-8")
    opens(locked, SealSettings(passphrase_file=tmp_path / "phrase"))
    with pytest.raises(NoSealKey, match="opens with: passphrase"):
        opens(locked)
    (tmp_path / "phrase").write_text("\n")
    with pytest.raises(NoPassphrase):
        opens(locked, SealSettings(passphrase_file=tmp_path / "phrase"))
    (tmp_path / "phrase").write_text("wrong")
    with pytest.raises(WrongSealKey, match="passphrase"):
        opens(locked, SealSettings(passphrase_file=tmp_path / "phrase"), lambda name: PASSPHRASE)


def test_three_tries(locked: Path) -> None:
    typed = iter(["no", "nor this", PASSPHRASE])
    opens(locked, ask=lambda name: next(typed))
    typed = iter(["no", "nor this", "never", PASSPHRASE])
    with pytest.raises(WrongSealKey):
        opens(locked, ask=lambda name: next(typed))


def test_the_parameters_of_scrypt_are_bounded(locked: Path) -> None:
    (slot,) = form.read(locked).header.slots
    assert isinstance(slot, form.Passphrase)
    assert (slot.log_n, slot.r, slot.p) == (17, 8, 1)
    content = locked.read_bytes()
    locked.write_bytes(content.replace(b'"log_n":17', b'"log_n":40'))  # refused before it costs anything
    with pytest.raises(form.SealDamaged, match="log_n"):
        opens(locked, ask=lambda name: PASSPHRASE)


@pytest.mark.parametrize("form_of_it", ["hex", "HEX", "base64"])
def test_a_key_command(sealed: Path, key_file: Path, form_of_it: str) -> None:
    key = bytes.fromhex(key_file.read_text())
    import base64

    text = {"hex": key.hex(), "HEX": f"  {key.hex().upper()} \n", "base64": base64.b64encode(key).decode()}[form_of_it]
    key_file.write_text(text)
    opens(sealed, SealSettings(key_command=f"cat '{key_file}'"))


@pytest.mark.parametrize(
    "printed", ["", "secret words", "ab" * 31, "zz" * 32, "x" * 5000, "ab" * 32 + "\nmore", "\\0\\377\\376"]
)
def test_a_key_command_that_prints_rubbish(sealed: Path, printed: str) -> None:
    with pytest.raises(KeyCommandRubbish) as refused:
        opens(sealed, SealSettings(key_command=f"head -c 0 /dev/null; printf '{printed}'"))
    if len(printed) > 8:
        said = refused.value.message().replace(str(refused.value.facts["command"]), "")
        assert printed[:8] not in said  # it may be a secret


@pytest.mark.parametrize(
    ("line", "said"),
    [("exit 3", "exit status 3"), ("echo no such key >&2; exit 1", "no such key"), ("nonexistent-kms-tool", "127")],
)
def test_a_key_command_that_fails(sealed: Path, line: str, said: str) -> None:
    with pytest.raises(KeyCommandFailed, match=said):
        opens(sealed, SealSettings(key_command=line))


def test_a_key_command_that_hangs(sealed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keys, "PATIENCE", 0.2)
    with pytest.raises(KeyCommandFailed, match="0 s"):
        opens(sealed, SealSettings(key_command="sleep 5"))


def test_another_key(sealed: Path) -> None:
    with pytest.raises(WrongSealKey, match="command"):
        opens(sealed, SealSettings(key_command=f"echo {os.urandom(32).hex()}"))


def test_several_ways_open_one_file(plain: Path, command: SealSettings) -> None:
    path = plain.with_name("both")
    seal(plain, path, (partial(keys.passphrase_slot, PASSPHRASE), partial(keys.command_slot, command.key_command)))
    opens(path, command, lambda name: pytest.fail("nobody need be asked"))
    opens(path, ask=lambda name: PASSPHRASE)
    with pytest.raises(NoSealKey, match="passphrase, command"):
        opens(path)


@pytest.mark.extras
def test_a_keyring(plain: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The library's own door with a backend that keeps keys in memory: a real one needs a desktop."""
    import keyring
    from keyring.backend import KeyringBackend

    class Kept(KeyringBackend):  # type: ignore[misc]  # the library has no types
        priority = 1
        held: dict[tuple[str, str], str] = {}  # noqa: RUF012  # as long as the test

        def get_password(self, service: str, username: str) -> str | None:
            return self.held.get((service, username))

        def set_password(self, service: str, username: str, password: str) -> None:
            self.held[service, username] = password

    before = keyring.get_keyring()
    keyring.set_keyring(Kept())
    try:
        path = plain.with_name("ringed")
        seal(plain, path, (keys.keyring_slot,))
        opens(path)
        Kept.held.clear()
        with pytest.raises(NoKeyring, match="it has no key seal-"):
            opens(path)
    finally:
        keyring.set_keyring(before)


def test_no_keyring(plain: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "keyring", None)
    with pytest.raises(NoKeyring):
        seal(plain, plain.with_name("x"), (keys.keyring_slot,))
    assert not plain.with_name("x").exists()


def test_where_a_key_command_may_come_from(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "config.toml").write_text('[seal]\nkey_command = "mine"\n')
    assert keys.settings().key_command == "mine"
    (tmp_path / "penjing.toml").write_text('[seal]\nkey_command = "rm -rf /"\n')
    with pytest.raises(CommandOfAFolder, match=r"penjing\.toml:2"):
        keys.settings()
    assert keys.settings({"key_command": "typed"}).key_command == "typed"
    assert load(SealSettings, "seal").value.key_command == "rm -rf /"


def test_secrets_are_not_shown(sealed: Path, command: SealSettings) -> None:
    opened = open_sealed(sealed, command)
    assert "_file_key" not in repr(opened)
