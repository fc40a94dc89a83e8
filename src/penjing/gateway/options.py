"""What an operator can set about the gateway. Everything else is derived."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from penjing.export.offer import Offer
from penjing.gateway.cost import Prices
from penjing.gateway.silence import Silence

MEBIBYTE = 1 << 20


@dataclass(frozen=True)
class Limits:
    """What one client may take. Sizes in bytes, times in seconds."""

    body: int = 32 * MEBIBYTE
    head: int = 64 * 1024
    head_seconds: float = 30.0
    """To send a whole request head once its first byte came."""
    body_seconds: float = 60.0
    """Longest silence while a body is being sent."""
    stall_seconds: float = 300.0
    """How long a client may take nothing of an answer that waits for it."""
    idle_seconds: float = 75.0
    """How long a connection may rest between requests."""
    connections: int = 10_000


@dataclass(frozen=True)
class GatewayOptions:
    """`api_keys`: a request must carry one of them; none configured leaves the gateway open. `cors`: origins that
    pages in a browser may call from (`*` for all); none by default. `image_hosts`: where engines may fetch pictures
    from. `policies`: the options of each policy, by its name (see `policies/order.py`); its own defaults where there
    are none. `prices` and `tags` are of engines, by their names here; so is `silence`, how long each may say nothing
    (`HERE` or `AWAY` of `silence.py` where not told). `released`: the names of engines whose versions may change, and
    be tried beside the old one, while this runs. `offers`: models that a browser may take with it, besides the built-in
    one. `authority`: the certificate (DER) that a phone must trust to keep the page, and its fingerprint."""

    api_keys: tuple[str, ...] = field(default=(), repr=False)
    cors: tuple[str, ...] = ()
    image_hosts: tuple[str, ...] = ()
    limits: Limits = Limits()
    policies: Mapping[str, object] = field(default_factory=dict)
    prices: Prices = field(default_factory=Prices)
    tags: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    silence: Mapping[str, Silence] = field(default_factory=dict)
    released: tuple[str, ...] = ()
    offers: tuple[Offer, ...] = ()
    authority: tuple[bytes, str] = (b"", "")
