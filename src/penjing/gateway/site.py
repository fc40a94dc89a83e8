"""The chat page at `/`: the files of `export.page`, each as small as the browser takes it, and asked for only once.

A browser keeps what changes its name with its content; of the rest it asks each time whether its copy still holds
(`ETag`, RFC 9110). The headers make the page a context of its own (COOP, COEP), without which the engine in the browser
would have one thread, and let it do only what its policy says. Whoever asks `/` for no page, as Ollama's command line
does, gets what a dialect has there.

Does not know: what is in the page.
"""

from __future__ import annotations

import asyncio
from functools import cached_property

from penjing.export.page import Asset, Built, built
from penjing.gateway.reply import Headers, Incoming, Reply

INDEX = "index.html"
HTML = b"text/html"
FOR_EVER, ASK_AGAIN = b"public, max-age=31536000, immutable", b"no-cache"
GUARDS: Headers = (
    (b"Cross-Origin-Opener-Policy", b"same-origin"),
    (b"Cross-Origin-Embedder-Policy", b"require-corp"),
    (b"Cross-Origin-Resource-Policy", b"same-origin"),
    (b"X-Content-Type-Options", b"nosniff"),
    (b"Referrer-Policy", b"no-referrer"),
    (b"Permissions-Policy", b"camera=(), geolocation=(), microphone=()"),
)
LARGE = 1 << 20
"""Bytes from which a file is read in another thread."""


class Site:
    """Answers what the page and its parts are asked for with GET and HEAD."""

    @cached_property
    def _built(self) -> Built:
        return built()

    @cached_property
    def _assets(self) -> dict[str, Asset]:
        found = {"/" + asset.name: asset for asset in self._built.assets}
        return {**found, "/": found["/" + INDEX]}

    def find(self, incoming: Incoming) -> Asset | None:
        """The file that is asked for, None where the path is no part of the page."""
        if incoming.method not in ("GET", "HEAD"):
            return None
        if incoming.path == "/" and HTML not in incoming.headers.get(b"accept", b""):
            return None
        return self._assets.get(incoming.path)

    async def send(self, asset: Asset, incoming: Incoming, reply: Reply) -> None:
        """Answer with `asset`, or that the browser's copy of it still holds."""
        tag = b'"%b"' % asset.sha256[:32].encode()
        policy = self._built.policy + "; frame-ancestors 'none'"
        headers: Headers = (
            (b"ETag", tag),
            (b"Cache-Control", FOR_EVER if asset.immutable else ASK_AGAIN),
            (b"Vary", b"Accept, Accept-Encoding"),
            (b"Content-Security-Policy", policy.encode()),
            *GUARDS,
        )
        if tag in incoming.headers.get(b"if-none-match", b""):
            reply.send(304, asset.type.encode(), b"", headers)
            return
        accepted = incoming.headers.get(b"accept-encoding", b"")
        if asset.size < LARGE:
            coding, body = _coded(asset, accepted)
        else:
            coding, body = await asyncio.to_thread(_coded, asset, accepted)
        if coding:
            headers += ((b"Content-Encoding", coding),)
        reply.send(200, asset.type.encode(), body, headers)


def _coded(asset: Asset, accepted: bytes) -> tuple[bytes, bytes]:
    """The best coding that is `accepted` and the file in it."""
    known = _accepted(accepted)
    if b"br" in known and (small := asset.brotli()) is not None:
        return b"br", small
    if b"gzip" in known:
        return b"gzip", asset.gzipped()
    return b"", asset.plain()


def _accepted(header: bytes) -> set[bytes]:
    """The codings in an `Accept-Encoding` header (RFC 9110, 12.5.3) whose weight is not 0.

    >>> sorted(_accepted(b"gzip;q=0.5, br; q=0, zstd"))
    [b'gzip', b'zstd']
    """
    found = set()
    for offer in header.split(b","):
        name, _, weight = offer.partition(b";")
        if weight.strip().removeprefix(b"q=").strip(b"0.") or not weight:
            found.add(name.strip())
    return found
