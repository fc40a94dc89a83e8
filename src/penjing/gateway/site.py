"""The chat page at `/`: the files of `export.page`, each as small as the browser takes it, and asked for only once.

A browser keeps what changes its name with its content; of the rest it asks each time whether its copy still holds
(`ETag`, RFC 9110). The headers make the page a context of its own (COOP, COEP), without which the engine in the browser
would have one thread, and let it do only what its policy says. Whoever asks `/` for no page, as Ollama's command line
does, gets what a dialect has there.

Models that a browser may take with it are sent from where a broken download ended (`Range`). The built-in one is for
everybody; for others a key is needed where one is needed to ask them.

Does not know: what is in the page.
"""

from __future__ import annotations

import asyncio
import re
from functools import cached_property
from io import SEEK_SET

from penjing.errors import InputError
from penjing.export.offer import Offer, offer, site
from penjing.export.page import Asset, Built, built
from penjing.gateway.dialects.openai.errors import JSON
from penjing.gateway.house import House
from penjing.gateway.reply import Headers, Incoming, Reply
from penjing.store.resolve import GUIDE, guide

INDEX = "index.html"
OFFERS = "/site.json"
AUTHORITY = "/authority.crt"
CERTIFICATE = b"application/x-x509-ca-cert"
MODELS = "/models/"
BINARY = b"application/octet-stream"
RANGE = re.compile(rb"bytes=(\d+)-")
BLOCK = 1 << 18
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


class RangeRefused(InputError):
    """Facts: `size`."""

    template = "Only `bytes=N-` can be asked of a model, with N below {size}."
    code = "range_not_satisfiable"
    status = 416


class Site:
    """Answers what the page and its parts are asked for with GET and HEAD."""

    def __init__(self, house: House) -> None:
        self._house = house
        self._guide: Offer | None = None

    @cached_property
    def _built(self) -> Built:
        return built()

    @cached_property
    def _assets(self) -> dict[str, Asset]:
        found = {"/" + asset.name: asset for asset in self._built.assets}
        return {**found, "/": found["/" + INDEX]}

    async def answer(self, incoming: Incoming, reply: Reply) -> bool:
        """Answer, or say that it is no part of the page. Raises RangeRefused, AccessError."""
        if incoming.method not in ("GET", "HEAD"):
            return False
        if incoming.path == "/" and HTML not in incoming.headers.get(b"accept", b""):
            return False
        if incoming.path == OFFERS:
            body = site(await self._offers(), server=True, fingerprint=self._house.options.authority[1])
            reply.send(200, JSON, body, ((b"Cache-Control", ASK_AGAIN), *GUARDS))
        elif incoming.path == AUTHORITY and self._house.options.authority[0]:
            reply.send(200, CERTIFICATE, self._house.options.authority[0], ((b"Cache-Control", ASK_AGAIN), *GUARDS))
        elif incoming.path.startswith(MODELS):
            return await self._model(incoming, reply)
        elif (asset := self._assets.get(incoming.path)) is not None:
            await self._send(asset, incoming, reply)
        else:
            return False
        return True

    async def _offers(self) -> tuple[Offer, ...]:
        """The built-in model, and what was offered by who runs the server."""
        if self._guide is None:
            self._guide = await asyncio.to_thread(offer, guide(), GUIDE)
        others = (each for each in self._house.options.offers if each.sha256 != self._guide.sha256)
        return (*others, self._guide)

    async def _model(self, incoming: Incoming, reply: Reply) -> bool:
        """Send a model, from where the browser has it already."""
        found = next((each for each in await self._offers() if "/" + each.file == incoming.path), None)
        if found is None:
            return False
        if found is not self._guide:
            self._house.admit(incoming)
        start, asked = 0, incoming.headers.get(b"range")
        headers: Headers = ((b"Cache-Control", FOR_EVER), (b"Accept-Ranges", b"bytes"), *GUARDS)
        if asked is not None:
            match = RANGE.fullmatch(asked)
            start = int(match[1]) if match else found.size
            if start >= found.size:
                raise RangeRefused(size=found.size)
            headers += ((b"Content-Range", b"bytes %d-%d/%d" % (start, found.size - 1, found.size)),)
        if incoming.method == "HEAD":
            reply.send(200, BINARY, b"", headers)
            return True
        reply.begin(200 if asked is None else 206, BINARY, headers)
        with found.path.open("rb") as stream:
            stream.seek(start, SEEK_SET)
            while block := await asyncio.to_thread(stream.read, BLOCK):
                reply.write(block)
                await reply.drained()
        reply.end()
        return True

    async def _send(self, asset: Asset, incoming: Incoming, reply: Reply) -> None:
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
    for each in header.split(b","):
        name, _, weight = each.partition(b";")
        if weight.strip().removeprefix(b"q=").strip(b"0.") or not weight:
            found.add(name.strip())
    return found
