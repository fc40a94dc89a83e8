"""One file on a server, read in parts.

Does not know: who waits for the bytes (`ranges` does, for plain functions).
"""

from __future__ import annotations

from collections.abc import Mapping

from penjing.sources.client import Client, Question, host_of, shown
from penjing.sources.faults import ChangedMeanwhile, ForeignAnswer, NoRanges
from penjing.sources.refusal import refusal
from penjing.sources.reply import Reply

WHOLE = 1 << 20
"""Bytes from the beginning that are read of a server without ranges before it is given up."""
EXPIRED = (400, 401, 403, 404, 410)
"""What a signed address answers when its time is over."""


class Far:
    """The file at `url`. `secrets` are headers for its host alone. `size` is -1 until the first read; `moved` counts
    the bytes of content that came. The address that the first request was sent on to is asked directly from then on."""

    def __init__(self, url: str, secrets: Mapping[str, str]) -> None:
        self.url = url
        self.moved = 0
        self.size = -1
        self._secrets = secrets
        self._version = ""
        self._direct = ""

    async def read(self, client: Client, offset: int, length: int) -> bytes:
        """`length` bytes from `offset` on, fewer where the file ends. Raises NetworkError, AccessError,
        ModelNotFound."""
        stop = offset + length if self.size < 0 else min(offset + length, self.size)
        if stop <= offset:
            return b""

        async def handle(reply: Reply) -> bytes:
            return await self._taken(reply, offset, stop)

        while True:
            direct = self._direct
            secrets = {} if direct else self._secrets
            try:
                return await client.fetch(Question(direct or self.url, secrets, span=(offset, stop)), handle)
            except Expired:
                if not direct:
                    raise
                self._direct = ""

    async def _taken(self, reply: Reply, offset: int, stop: int) -> bytes:
        if reply.status == 416 and reply.span and reply.span[2] <= offset:
            self.size = reply.span[2]
            return b""
        if reply.status not in (200, 206):
            if self._direct and reply.status in EXPIRED:
                raise Expired(url=shown(self._direct), detail=f"HTTP {reply.status}")
            raise refusal(reply, self.url, bool(self._secrets))
        if reply.status == 200:
            return await self._from_start(reply, offset, stop)
        return await self._part(reply, offset, stop)

    async def _part(self, reply: Reply, offset: int, stop: int) -> bytes:
        span = reply.span
        if span is None or span[0] != offset or span[2] < 0:
            detail = f"Content-Range: {reply.header('Content-Range') or '-'}"
            raise ForeignAnswer(url=shown(self.url), detail=detail)
        self._remember(reply, span[2])
        wanted = min(stop, span[2]) - offset
        content = await reply.start(wanted + 1)
        self.moved += len(content)
        if len(content) != wanted:
            raise ForeignAnswer(url=shown(self.url), detail=f"{len(content)} bytes instead of {wanted}")
        return content

    async def _from_start(self, reply: Reply, offset: int, stop: int) -> bytes:
        """A server without ranges sends all of it: take the beginning and hang up."""
        if stop > WHOLE:
            raise NoRanges(url=shown(self.url))
        self._remember(reply, reply.length)
        content = await reply.start(stop)
        self.moved += len(content)
        return content[offset:]

    def _remember(self, reply: Reply, size: int) -> None:
        version = reply.headers.get("ETag", "")
        if size < 0:
            raise ForeignAnswer(url=shown(self.url), detail="it does not tell its size")
        if self.size < 0:
            self.size, self._version = size, version
        elif size != self.size or (version and self._version and version != self._version):
            raise ChangedMeanwhile(url=shown(self.url))
        if host_of(reply.url) != host_of(self.url):
            self._direct = reply.url


class Expired(ForeignAnswer):
    """A signed address that was remembered is no longer valid. Facts: `url`, `detail`."""
