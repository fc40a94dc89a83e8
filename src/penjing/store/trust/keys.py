"""Ed25519 keys (RFC 8032): public ones as text, signing ones as files that only their owner may read.

A public key is written `ed25519:` and the base64 of its 32 bytes; a line of OpenSSH or a PEM is read too. Its *id* is
the first 16 hexadecimal digits of the SHA-256 of the 32 bytes: it finds a key, it proves nothing.

Does not know: what is signed, who is trusted.
"""

from __future__ import annotations

import base64
import hashlib
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from penjing.files import home, write_whole
from penjing.store.trust.faults import BadKey, BadKeyName, KeyLocked, KeyNameTaken, NoSuchKey

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

PREFIX = "ed25519:"
STARTS = (PREFIX, "ssh-", "-----BEGIN ")
LENGTH, ID_LENGTH = 32, 16
OWN = "own"
"""The signing key that is meant where none is named."""
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,63}")
LONGEST_FILE = 16 << 10


@dataclass(frozen=True)
class PublicKey:
    """`raw`: its 32 bytes."""

    raw: bytes

    @property
    def id(self) -> str:
        """16 hexadecimal digits."""
        return hashlib.sha256(self.raw).hexdigest()[:ID_LENGTH]

    def __str__(self) -> str:
        return PREFIX + base64.b64encode(self.raw).decode("ascii")

    def good(self, signature: bytes, message: bytes) -> bool:
        """Whether `signature` (64 bytes) is this key's over `message`."""
        from cryptography.exceptions import InvalidSignature
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

        try:
            Ed25519PublicKey.from_public_bytes(self.raw).verify(signature, message)
        except InvalidSignature:
            return False
        return True


@dataclass(frozen=True)
class SigningKey:
    """A key that signs, under the name it has here."""

    name: str
    _private: Ed25519PrivateKey = field(repr=False)

    @property
    def public(self) -> PublicKey:
        """What others check its signatures with."""
        return PublicKey(self._private.public_key().public_bytes_raw())

    def sign(self, message: bytes) -> bytes:
        """64 bytes."""
        return self._private.sign(message)


def folder() -> Path:
    """Where signing keys are."""
    return home() / "trust" / "keys"


def name_of(text: str) -> str:
    """A key's name. Raises BadKeyName."""
    if not NAME.fullmatch(text):
        raise BadKeyName(value=text)
    return text


def parse(text: str) -> PublicKey:
    """A public key from its text, or from a file that holds one. Raises BadKey."""
    given = text.strip()
    return of_text(given if given.startswith(STARTS) else _read(given))


def of_text(text: str) -> PublicKey:
    """A public key from its text alone. Raises BadKey."""
    given = text.strip()
    return _plain(given) if given.startswith(PREFIX) else _foreign(given)


def _read(given: str) -> str:
    try:
        with Path(given).expanduser().open("rb") as stream:
            return stream.read(LONGEST_FILE).decode("ascii").strip()
    except (OSError, ValueError, RuntimeError) as error:  # no such file, not text, a null byte, an unknown home
        raise BadKey(value=given[:40], detail=f"neither a key nor a file ({error})") from error


def _plain(given: str) -> PublicKey:
    try:
        raw = base64.b64decode(given.removeprefix(PREFIX), validate=True)
    except ValueError as error:
        raise BadKey(value=given[:40], detail=str(error)) from error
    if len(raw) != LENGTH:
        raise BadKey(value=given[:40], detail=f"{len(raw)} bytes, not {LENGTH}")
    return PublicKey(raw)


def _foreign(given: str) -> PublicKey:
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from cryptography.hazmat.primitives.serialization import load_pem_public_key, load_ssh_public_key

    read = load_pem_public_key if given.startswith("-----") else load_ssh_public_key
    try:
        found = read(given.encode("ascii", "replace"))
    except (ValueError, UnsupportedAlgorithm) as error:
        raise BadKey(value=given[:40], detail=str(error)) from error
    if not isinstance(found, Ed25519PublicKey):
        raise BadKey(value=given[:40], detail="another kind than Ed25519")
    return PublicKey(found.public_bytes_raw())


def make(name: str = OWN, passphrase: str = "") -> SigningKey:
    """A new signing key, kept in a file. Raises BadKeyName, KeyNameTaken."""
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    path = _path(name)
    if path.exists():
        raise KeyNameTaken(name=name)
    private = Ed25519PrivateKey.generate()
    lock: serialization.KeySerializationEncryption = serialization.NoEncryption()
    if passphrase:
        lock = serialization.BestAvailableEncryption(passphrase.encode())
    write_whole(
        path,
        private.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, lock),
        private=True,
    )
    return SigningKey(name, private)


def load(name: str = OWN, passphrase: str = "") -> SigningKey:
    """The signing key `name`. Raises NoSuchKey, KeyLocked, BadKey."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    path = _path(name)
    try:
        content = path.read_bytes()
    except FileNotFoundError as error:
        raise NoSuchKey(name=name) from error
    try:
        found = load_pem_private_key(content, passphrase.encode() if passphrase and locked(name) else None)
    except TypeError as error:  # it has a passphrase and none was given
        raise KeyLocked(name=name) from error
    except ValueError as error:
        if locked(name):
            raise KeyLocked(name=name) from error
        raise BadKey(value=str(path), detail=str(error)) from error
    if not isinstance(found, Ed25519PrivateKey):
        raise BadKey(value=str(path), detail="another kind than Ed25519")
    return SigningKey(name, found)


def locked(name: str = OWN) -> bool:
    """Whether the signing key `name` has a passphrase (PKCS #8, RFC 7468 section 11)."""
    try:
        return b"ENCRYPTED" in _path(name).read_bytes()[:64]
    except FileNotFoundError:
        return False


def names() -> list[str]:
    """The signing keys here."""
    return sorted(path.stem for path in folder().glob("*.pem"))


def discard(name: str) -> bool:
    """Remove the signing key `name`; whether there was one."""
    path = _path(name)
    there = path.exists()
    path.unlink(missing_ok=True)
    return there


def _path(name: str) -> Path:
    return folder() / f"{name_of(name)}.pem"
