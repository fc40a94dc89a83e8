"""Which web pages may call: none but those named, and none may make a visitor's browser call in secret.

A browser tells the page's origin (RFC 6454) with every request that could do something. Pages of this machine may
send, but read answers only where named; others are refused, also one whose name was made to point at this machine
(DNS rebinding). Such a page may read without telling its origin, so what reads is refused by the name it asks for: on
a connection from this machine that is this machine's, an address, a name of the local network (RFC 6762, 6761), or the
host of an origin that is named. Where keys are needed, a page has none.
"""

from __future__ import annotations

from collections.abc import Callable
from ipaddress import IPv6Address, ip_address
from urllib.parse import urlsplit

from penjing.errors import InputError
from penjing.gateway.reply import Headers, Incoming

LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})
READING = ("GET", "HEAD")
NEAR = (".localhost", ".local", ".internal", ".home.arpa", ".lan", ".test")
"""No name under these can be made to point here by somebody on the Internet."""
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


class HostRefused(InputError):
    """Facts: `host`."""

    template = "Nothing is read here under the name {host}."
    hint = "Ask under this machine's own name, or allow that one with --cors-origin https://{host}"
    code = "host_not_allowed"
    status = 403


class Origins:
    """The origins that are `allowed` (`*` for all). `is_open`: whether a page without a key could read anything."""

    def __init__(self, allowed: tuple[str, ...], is_open: Callable[[], bool] = lambda: True) -> None:
        self._is_open = is_open
        self._allowed = frozenset(allowed)
        self._hosts = frozenset(_host(origin.partition("://")[2]) for origin in allowed)

    def admit(self, incoming: Incoming) -> Headers:
        """What the answer's head says to the browser. Raises OriginRefused, HostRefused."""
        given = incoming.headers.get(b"origin")
        if given is None:
            if incoming.method in READING and "*" not in self._allowed:
                self._see_host(incoming)
            return ()
        origin = given.decode("latin-1")
        if "*" in self._allowed or origin in self._allowed:
            shared: Headers = ((b"Access-Control-Allow-Origin", given), (b"Vary", b"Origin"))
            return shared + PREFLIGHT + _headers(incoming) if incoming.method == "OPTIONS" else shared
        if not _own(origin, incoming):
            raise OriginRefused(origin=origin)
        return ()

    def _see_host(self, incoming: Incoming) -> None:
        host = _host(incoming.headers.get(b"host", b"").decode("latin-1"))
        near = "." not in host or host.endswith(NEAR) or _is_address(host) or host in self._hosts
        if not near and _is_here(incoming.peer) and self._is_open():
            raise HostRefused(host=host)


def _host(place: str) -> str:
    """The name in a `Host` header, in lower case, without its port.

    >>> _host("Example.org.:8000"), _host("[::1]:8000"), _host("::1")
    ('example.org', '::1', '::1')
    """
    if place.startswith("["):
        return place[1:].partition("]")[0]
    name, _, port = place.rpartition(":")
    return (name if name and port.isdigit() and ":" not in name else place).rstrip(".").lower()


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


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
