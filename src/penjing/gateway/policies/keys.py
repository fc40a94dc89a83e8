"""Who may ask: API keys as OpenAI's clients send them, `Authorization: Bearer KEY`. Open when none are configured.

Keys are compared as SHA-256 digests in constant time, all of them each time, so that neither a key's beginning nor
its place in the list shows in the time an answer takes.
"""

from __future__ import annotations

import hmac
from collections.abc import AsyncIterable
from hashlib import sha256

from penjing.errors import AccessError
from penjing.gateway.ask import Ask, Call
from penjing.messages import Event

BEARER = b"bearer "


class Keys:
    """The first policy."""

    def __init__(self, keys: tuple[str, ...]) -> None:
        self._digests = tuple(sha256(key.encode()).digest() for key in keys)

    async def __call__(self, ask: Ask, call_next: Call) -> AsyncIterable[Event]:
        ask.key = self.admit(ask.incoming.headers)
        return await call_next(ask)

    def admit(self, headers: dict[bytes, bytes]) -> str:
        """The name of the request's key: the start of its digest. Raises AccessError."""
        if not self._digests:
            return ""
        given = headers.get(b"authorization", b"")
        if given[: len(BEARER)].lower() != BEARER:
            raise AccessError
        digest = sha256(given[len(BEARER) :].strip()).digest()
        matches = [hmac.compare_digest(digest, known) for known in self._digests]
        if not any(matches):
            raise AccessError
        return digest.hex()[:8]
