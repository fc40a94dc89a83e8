"""Who may ask: API keys as OpenAI's clients send them, `Authorization: Bearer KEY`. Open when none are configured.

Keys are compared as SHA-256 digests in constant time, all of them each time, so that neither a key's beginning nor
its place in the list shows in the time an answer takes.
"""

from __future__ import annotations

import hmac
from collections.abc import AsyncIterable
from dataclasses import dataclass
from hashlib import sha256

from penjing.errors import AccessError
from penjing.gateway.ask import Ask, Call
from penjing.gateway.grant import OPEN, Grant
from penjing.gateway.house import House
from penjing.gateway.policies.policy import Step
from penjing.gateway.reply import Incoming
from penjing.messages import Event

BEARER = b"bearer "


@dataclass(frozen=True)
class KeysOptions:
    """Nothing to set yet beside the keys of the gateway's own options."""


class Keys:
    """The first policy that can refuse."""

    def __init__(self, keys: tuple[str, ...]) -> None:
        self._digests = tuple(sha256(key.encode()).digest() for key in keys)

    async def __call__(self, ask: Ask, call_next: Call) -> AsyncIterable[Event]:
        ask.key = self.admit(ask.incoming)
        return await call_next(ask)

    def admit(self, incoming: Incoming) -> Grant:
        """The rights of the request's key, named by the start of its digest. Raises AccessError."""
        if not self._digests:
            return OPEN
        given = incoming.headers.get(b"authorization", b"")
        if given[: len(BEARER)].lower() != BEARER:
            raise AccessError
        digest = sha256(given[len(BEARER) :].strip()).digest()
        matches = [hmac.compare_digest(digest, known) for known in self._digests]
        if not any(matches):
            raise AccessError
        return Grant(name=digest.hex()[:8])


def build(options: KeysOptions, house: House) -> Keys:
    """The policy, which also lets people in to pages."""
    keys = Keys(house.options.api_keys)
    house.admit = keys.admit
    return keys


STEP = Step("keys", KeysOptions, build)
