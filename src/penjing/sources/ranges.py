"""Random access to a file elsewhere: what is read is what is moved.

Does not know: what the bytes mean.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import BinaryIO
from urllib.parse import unquote, urlsplit

from penjing.sources.client import Client, Question, host_of, shown
from penjing.sources.faults import ChangedMeanwhile, ForeignAnswer, NoRanges
from penjing.sources.loop import Loop
from penjing.sources.refusal import refusal
from penjing.sources.reply import Reply

AT_ONCE = 8
"""Requests in flight."""
WHOLE = 1 << 20
"""Bytes from the beginning that are read of a server without ranges before it is given up."""
EXPIRED = (400, 401, 403, 404, 410)
"""What a signed address answers when its time is over."""


class Ranges:
    """The file at `url` (`https:`, `http:` or `file:`). `secrets` are headers for its host alone. `size` in bytes;
    `moved` is how many bytes of content came over the network. A context manager; not for use within a running event
    loop (see `Loop`).

    Raises NetworkError, AccessError, ModelNotFound where the bytes cannot be had."""

    def __init__(self, url: str, secrets: Mapping[str, str] | None = None) -> None:
        self.url = url
        self.moved = 0
        self._secrets = dict(secrets or {})
        self._size = -1
        self._version = ""
        self._direct = ""
        self._loop: Loop | None = None
        self._client: Client | None = None
        self._local: BinaryIO | None = None
        if url.startswith("file:"):
            path = Path(unquote(urlsplit(url).path))
            self._local, self._size = path.open("rb"), path.stat().st_size

    def __enter__(self) -> Ranges:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    @property
    def size(self) -> int:
        """Of the whole file, in bytes."""
        if self._size < 0:
            self.read(0, 1)
        return self._size

    def read(self, offset: int, length: int) -> bytes:
        """`length` bytes from `offset` on, fewer where the file ends."""
        return self.read_many([(offset, length)])[0]

    def read_many(self, spans: Sequence[tuple[int, int]]) -> list[bytes]:
        """Several `(offset, length)`, asked for at the same time."""
        if self._local is not None:
            return [self._read_here(self._local, *span) for span in spans]
        if self._loop is None:
            self._loop = Loop()
        return self._loop.run(self._read_all(spans))

    def close(self) -> None:
        """Close the connections. May be called again."""
        if self._local is not None:
            self._local.close()
        if self._loop is not None and self._client is not None:
            self._loop.run(self._client.__aexit__())
            self._client = None
        if self._loop is not None:
            self._loop.close()
            self._loop = None

    def _read_here(self, stream: BinaryIO, offset: int, length: int) -> bytes:
        stream.seek(offset)
        return stream.read(length)

    async def _read_all(self, spans: Sequence[tuple[int, int]]) -> list[bytes]:
        if self._client is None:
            self._client = await Client().__aenter__()
        if self._size < 0:  # one first, so that the others know where the file ends and where it really is
            first = await self._read(self._client, *spans[0])
            return [first, *(await self._gathered(self._client, spans[1:]))]
        return await self._gathered(self._client, spans)

    async def _gathered(self, client: Client, spans: Sequence[tuple[int, int]]) -> list[bytes]:
        gate = asyncio.Semaphore(AT_ONCE)

        async def one(offset: int, length: int) -> bytes:
            async with gate:
                return await self._read(client, offset, length)

        return await asyncio.gather(*(one(*span) for span in spans))

    async def _read(self, client: Client, offset: int, length: int) -> bytes:
        stop = offset + length if self._size < 0 else min(offset + length, self._size)
        if stop <= offset:
            return b""

        async def handle(reply: Reply) -> bytes:
            return await self._taken(reply, offset, stop)

        while True:
            direct = self._direct
            url = direct or self.url
            secrets = {} if direct else self._secrets
            try:
                return await client.fetch(Question(url, secrets, span=(offset, stop)), handle)
            except _Expired:
                self._direct = ""
                if not direct:
                    raise

    async def _taken(self, reply: Reply, offset: int, stop: int) -> bytes:
        if reply.status == 416 and reply.span and reply.span[2] <= offset:
            self._size = reply.span[2]
            return b""
        if reply.status not in (200, 206):
            if self._direct and reply.status in EXPIRED:
                raise _Expired(url=shown(self._direct), detail=f"HTTP {reply.status}")
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
        if self._size < 0:
            self._size, self._version = size, version
            if host_of(reply.url) != host_of(self.url):
                self._direct = reply.url
        elif size != self._size or (version and self._version and version != self._version):
            raise ChangedMeanwhile(url=shown(self.url))
        if size < 0:
            raise ForeignAnswer(url=shown(self.url), detail="it does not tell its size")


class _Expired(ForeignAnswer):
    """A signed address that was remembered is no longer valid. Facts: `url`, `detail`."""
