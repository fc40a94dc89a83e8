"""Which web pages may call: none but those named, and none may make a visitor's browser call in secret.

A browser tells the page's origin (RFC 6454) with every request that could do something. Pages of this machine may
send, but read answers only where named; others are refused, also one whose name was made to point at this machine
(DNS rebinding).
"""

from __future__ import annotations

from ipaddress import IPv6Address, ip_address
from urllib.parse import urlsplit

from penjing.errors import InputError
from penjing.gateway.reply import Headers, Incoming

LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})
PREFLIGHT: Headers = (
    (b"Access-Control-Allow-Methods", b"GET, POST, OPTIONS"),
    (b"Access-Control-Max-Age", b"600"),
)


class OriginRefused(InputError):
    """Facts: `origin`."""

    template = "Pages of {origin} may not call this server."
    hint = "Allow them with --cors-origin {origin}"
    code = "origin_not_allowed"
    status = 403


class Origins:
    """The origins that are `allowed` (`*` for all)."""

    def __init__(self, allowed: tuple[str, ...]) -> None:
        self._allowed = frozenset(allowed)

    def admit(self, incoming: Incoming) -> Headers:
        """What the answer's head says to the browser. Raises OriginRefused."""
        given = incoming.headers.get(b"origin")
        if given is None:
            return ()
        origin = given.decode("latin-1")
        if "*" in self._allowed or origin in self._allowed:
            shared: Headers = ((b"Access-Control-Allow-Origin", given), (b"Vary", b"Origin"))
            return shared + PREFLIGHT + _headers(incoming) if incoming.method == "OPTIONS" else shared
        if not _own(origin, incoming):
            raise OriginRefused(origin=origin)
        return ()


def _headers(incoming: Incoming) -> Headers:
    """Whatever the page names may be sent: OpenAI's JavaScript client has a dozen of its own (X-Stainless-...)."""
    wanted = incoming.headers.get(b"access-control-request-headers", b"Authorization, Content-Type")
    return ((b"Access-Control-Allow-Headers", wanted),)


def _own(origin: str, incoming: Incoming) -> bool:
    """Whether the page is of this machine, or was served under the name that the request came to from another one."""
    try:
        place = urlsplit(origin)
        if place.hostname in LOOPBACK:
            return True
    except ValueError:
        return False
    same = bool(place.netloc) and place.netloc == incoming.headers.get(b"host", b"").decode("latin-1")
    return same and not _is_here(incoming.peer)


def _is_here(peer: str) -> bool:
    """Whether a connection comes from this machine; a socket for both IP versions writes 127.0.0.1 as an IPv6 one."""
    try:
        address = ip_address(peer)
    except ValueError:
        return True
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return (mapped or address).is_loopback
