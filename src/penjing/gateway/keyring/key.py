"""One API key as it is kept: everything but the key itself.

A key is `pj-` and 256 random bits. What is kept is its SHA-256. Slow, salted hashes (scrypt, Argon2) are for passwords,
which people choose and which can therefore be guessed from a stolen file; 256 random bits cannot be guessed however
fast the hash is, and a slow one would let anybody keep the server busy with wrong keys.

Does not know: files, requests.
"""

from __future__ import annotations

import re
import secrets
from datetime import datetime, timezone
from hashlib import sha256

from msgspec import Struct

from penjing.gateway.grant import Grant

MARK = "pj-"
BITS = 256
SHOWN = 8
"""Characters of a key that a list shows: the mark and 30 of its bits; the other 226 stay unknown."""
NAME = re.compile(r"[\w.@-]{1,64}")


class Rights(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """What a key may do; see `Grant`. `monthly_budget` is in US dollars, for a calendar month in UTC."""

    models: tuple[str, ...] = ()
    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None
    concurrency: int | None = None
    monthly_budget: float | None = None
    local_only: bool = False
    priority: int = 0

    def __post_init__(self) -> None:
        limits = (self.requests_per_minute, self.tokens_per_minute, self.concurrency)
        if any(limit is not None and limit < 1 for limit in limits):
            raise ValueError("a limit is at least 1")
        if self.monthly_budget is not None and not 0 < self.monthly_budget < float("inf"):
            raise ValueError("a budget is more than 0")


class Former(Struct, frozen=True, forbid_unknown_fields=True):
    """What a key was before it was changed for a new one; it lets in until `until`."""

    digest: str
    until: datetime


class Key(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """`digest` is SHA-256 in hex, `prefix` the beginning of the key. Times are in UTC. A key that was `revoked` is
    kept, so that its name in records stays its own."""

    name: str
    prefix: str
    digest: str
    created: datetime
    rights: Rights = Rights()
    expires: datetime | None = None
    revoked: datetime | None = None
    former: tuple[Former, ...] = ()

    @property
    def grant(self) -> Grant:
        rights = self.rights
        return Grant(
            self.name,
            rights.models,
            rights.requests_per_minute,
            rights.tokens_per_minute,
            rights.concurrency,
            rights.monthly_budget,
            rights.local_only,
            rights.priority,
        )

    def state(self, now: datetime) -> str:
        """`live`, `expired` or `revoked`."""
        if self.revoked is not None:
            return "revoked"
        return "expired" if self.expires is not None and self.expires <= now else "live"


def new_secret() -> str:
    """A key that nobody can guess."""
    return MARK + secrets.token_urlsafe(BITS // 8)


def digest(secret: bytes) -> bytes:
    """What is kept of a key."""
    return sha256(secret).digest()


def utc() -> datetime:
    """Now."""
    return datetime.now(timezone.utc)
