"""What lets one device in: `penjing1.` secret `.` SHA-256 of the hub's first root, both base64url without padding.

Since the token comes from a person, the device knows whose releases to believe without trusting the hub or the way to
it. The hub keeps only the SHA-256 of the secret.

Does not know: who has used it.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import secrets
from dataclasses import dataclass

from penjing.fleet.faults import BadToken

HEAD = "penjing1"
LENGTH, DIGEST = 18, 32
"""Bytes of a secret and of a digest."""


@dataclass(frozen=True)
class Token:
    """`root` is the SHA-256 (32 bytes) of the document of the hub's first root."""

    secret: str
    root: bytes

    def __str__(self) -> str:
        return f"{HEAD}.{self.secret}.{_text(self.root)}"


def new(root: bytes) -> Token:
    """A token for the hub whose first root document is `root`."""
    return Token(_text(secrets.token_bytes(LENGTH)), hashlib.sha256(root).digest())


def parse(text: str) -> Token:
    """Raises BadToken."""
    parts = text.strip().split(".")
    if len(parts) != 3 or parts[0] != HEAD:
        raise BadToken(detail="it does not begin with penjing1. or was cut")
    try:
        root = base64.urlsafe_b64decode(parts[2] + "=" * (-len(parts[2]) % 4))
    except (binascii.Error, ValueError) as error:
        raise BadToken(detail="its end cannot be read") from error
    if len(root) != DIGEST or not parts[1]:
        raise BadToken(detail="it was cut")
    return Token(parts[1], root)


def digest(secret: str) -> str:
    """Under which a secret is kept: SHA-256 in hex."""
    return hashlib.sha256(secret.encode("utf-8", "replace")).hexdigest()


def _text(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).decode().rstrip("=")
