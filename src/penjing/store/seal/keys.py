"""What opens a sealed file: a passphrase, a key in the system's keyring, or a command that prints a key (a KMS, an HSM,
`pass`, a TPM: whatever has a command line).

Does not know: the file's form beyond its slots.
"""

from __future__ import annotations

import base64
import binascii
import os
import subprocess
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from penjing.errors import PenjingError
from penjing.probe.faults import CannotOpen
from penjing.store.seal import form
from penjing.store.seal.faults import (
    CommandOfAFolder,
    KeyChanges,
    KeyCommandFailed,
    KeyCommandRubbish,
    NoKeyring,
    NoPassphrase,
    NoSealKey,
    WrongSealKey,
)
from penjing.store.seal.form import KEY, Command, Keyring, Passphrase, Sealed, Slot

if TYPE_CHECKING:
    from typing import Protocol

    class Vault(Protocol):
        """What is used of the library `keyring`."""

        def get_password(self, service: str, account: str) -> str | None: ...
        def set_password(self, service: str, account: str, password: str) -> None: ...


SALT = 16
SERVICE = "penjing"
"""Under which the system's keyring has our keys."""
PATIENCE = 120.0
"""Seconds a key command may take: somebody may have to touch a token."""
LONGEST = 4096
"""Bytes of a key command's output, or of a passphrase's file, that are looked at."""
SAID = 200
TRIES = 3

Ask = Callable[[str], str]
"""Gets the name of what is to be opened and returns what a person typed."""


@dataclass(frozen=True)
class SealSettings:
    """Section `[seal]`. `key_command`: prints a key of 32 bytes, in hexadecimal or base64. `passphrase_file`: its first
    line is the passphrase."""

    key_command: str = ""
    passphrase_file: Path | None = None


def settings(given: dict[str, object] | None = None) -> SealSettings:
    """From the command line and the settings. Raises CommandOfAFolder, SettingError."""
    from penjing.settings import PROJECT, load

    loaded = load(SealSettings, "seal", given)
    source = loaded.sources["key_command"]
    if source.partition(":")[0] == PROJECT:
        raise CommandOfAFolder(source=source)
    return loaded.value


def of_command(command: str) -> bytes:
    """The 32 bytes a command prints. Raises KeyCommandFailed, KeyCommandRubbish."""
    try:
        done = subprocess.run(command, shell=True, stdin=subprocess.DEVNULL, capture_output=True, timeout=PATIENCE)
    except subprocess.TimeoutExpired as error:
        raise KeyCommandFailed(command=command, how=f"{PATIENCE:.0f} s", said="-") from error
    except (OSError, ValueError) as error:
        raise KeyCommandFailed(command=command, how="-", said=str(error)) from error
    if done.returncode:
        words = done.stderr.decode("utf-8", "replace").strip().splitlines()
        raise KeyCommandFailed(
            command=command, how=f"exit status {done.returncode}", said=words[-1][:SAID] if words else "-"
        )
    key = _key(done.stdout) if len(done.stdout) <= LONGEST else None
    if key is None:
        raise KeyCommandRubbish(command=command, bytes=len(done.stdout))
    return key


def _key(printed: bytes) -> bytes | None:
    text = printed.strip()
    try:
        key = bytes.fromhex(text.decode("ascii")) if len(text) == 2 * KEY else base64.b64decode(text, validate=True)
    except (ValueError, binascii.Error):  # not hexadecimal, not ASCII, not base64
        return None
    return key if len(key) == KEY else None


def of_file(path: Path) -> str:
    """The passphrase in a file's first line. Raises NoPassphrase, CannotOpen."""
    try:
        with path.open("rb") as stream:
            text = stream.read(LONGEST).decode("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise CannotOpen(path=str(path), detail=str(error)) from error
    if not text or not text[0]:
        raise NoPassphrase(path=str(path))
    return text[0]


def passphrase_slot(passphrase: str, file_key: bytes, id: bytes) -> Passphrase:
    """A slot that `passphrase` opens."""
    slot = Passphrase(os.urandom(SALT), b"")
    return Passphrase(slot.salt, form.wrap(file_key, _stretched(passphrase, slot), slot.salt, id))


def command_slot(command: str, file_key: bytes, id: bytes) -> Command:
    """A slot that what `command` prints opens. Raises KeyCommandFailed, KeyCommandRubbish."""
    salt = os.urandom(SALT)
    return Command(salt, form.wrap(file_key, of_command(command), salt, id))


def keyring_slot(file_key: bytes, id: bytes) -> Keyring:
    """A slot with a new key in the system's keyring. Raises NoKeyring."""
    salt, key, account = os.urandom(SALT), os.urandom(KEY), f"seal-{id.hex()}"
    vault = _vault()
    try:
        vault.set_password(SERVICE, account, key.hex())
    except Exception as error:  # each system's keyring has errors of its own
        raise NoKeyring(detail=str(error) or type(error).__name__) from error
    return Keyring(salt, form.wrap(file_key, key, salt, id), account)


def file_key(sealed: Sealed, means: SealSettings, ask: Ask | None = None) -> bytes:
    """What opens `sealed`, by the first of these that was given and that it has a slot for: the command, the keyring,
    the passphrase's file, `ask`. Raises NoSealKey, WrongSealKey, SealDamaged, and what the ways themselves raise."""
    refusal: PenjingError | None = None
    for slot in sorted(sealed.header.slots, key=_order):
        key = None
        if isinstance(slot, Command) and means.key_command:
            key = of_command(means.key_command)
        elif isinstance(slot, Passphrase) and means.passphrase_file:
            key = _stretched(of_file(means.passphrase_file), slot)
        elif isinstance(slot, Passphrase) and ask is not None:
            return _asked(sealed, slot, ask)
        elif isinstance(slot, Keyring):
            try:
                key = _of_keyring(slot)
            except NoKeyring as error:
                refusal = error
        if key is not None:
            return _opened(sealed, slot, key)
    raise refusal or NoSealKey(path=str(sealed.path), ways=", ".join(map(form.way, sealed.header.slots)) or "-")


def require_opens(sealed: Sealed, means: SealSettings, ask: Ask | None = None) -> None:
    """Each slot of a file that was just sealed opens by the means it was made with. Raises KeyChanges, and what the
    ways themselves raise."""
    for slot in sealed.header.slots:
        alone = replace(sealed, header=msgspec.structs.replace(sealed.header, slots=(slot,)))
        try:
            file_key(alone, means, ask)
        except WrongSealKey as error:
            raise KeyChanges(way=form.way(slot)) from error


def _order(slot: Slot) -> int:
    """What asks nobody comes first."""
    return (Command, Keyring, Passphrase).index(type(slot))


def _asked(sealed: Sealed, slot: Passphrase, ask: Ask, tries: int = TRIES) -> bytes:
    try:
        return _opened(sealed, slot, _stretched(ask(sealed.path.name), slot))
    except WrongSealKey:
        if tries <= 1:
            raise
        return _asked(sealed, slot, ask, tries - 1)


def _opened(sealed: Sealed, slot: Slot, key: bytes) -> bytes:
    file_key = form.unwrap(sealed, slot, key)
    form.require_authentic(sealed, file_key)
    return file_key


def _stretched(passphrase: str, slot: Passphrase) -> bytes:
    """The key of a passphrase, in Unicode's composed form so that every keyboard types the same."""
    import unicodedata

    from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

    text = unicodedata.normalize("NFC", passphrase).encode("utf-8", "surrogateescape")
    return Scrypt(salt=slot.salt, length=KEY, n=1 << slot.log_n, r=slot.r, p=slot.p).derive(text)


def _of_keyring(slot: Keyring) -> bytes:
    """Raises NoKeyring."""
    try:
        found = _vault().get_password(SERVICE, slot.account)
    except NoKeyring:
        raise
    except Exception as error:  # each system's keyring has errors of its own
        raise NoKeyring(detail=str(error) or type(error).__name__) from error
    key = _key(found.encode()) if found else None
    if key is None:
        raise NoKeyring(detail=f"it has no key {slot.account}")
    return key


def _vault() -> Vault:
    try:
        import keyring
    except ImportError as error:
        raise NoKeyring(detail=str(error)) from error
    vault: Vault = keyring  # the library's functions stand in its module
    return vault
