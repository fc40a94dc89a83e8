"""One file on a server, read in parts.

Does not know: who waits for the bytes (`ranges` does, for plain functions).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import TypeVar

from penjing.sources.client import Client, Question, host_of, shown
from penjing.sources.faults import ChangedMeanwhile, ForeignAnswer, NoRanges, WrongLength
from penjing.sources.refusal import refusal
from penjing.sources.reply import Reply

T = TypeVar("T")
WHOLE = 1 << 20
"""Bytes from the beginning that are read of a server without ranges before it is given up."""
EXPIRED = (400, 401, 403, 404, 410)
"""What a signed address answers when its time is over."""


class Far:
    """The file at `url`. `secrets` are headers for its host alone. `size` is -1 until the first read, or what its
    source says (`told`), and then it must be so. `moved` counts the bytes of content that came. The address that the
    first request was sent on to is asked directly from then on."""

    def __init__(self, url: str, secrets: Mapping[str, str], told: int = -1) -> None:
        self.url = url
        self.moved = 0
        self.size = told
        self._told = told >= 0
        self._secrets = secrets
        self._version = ""
        self._direct = ""

    async def read(self, client: Client, offset: int, length: int) -> bytes:
        """`length` bytes from `offset` on, fewer where the file ends. Raises NetworkError, AccessError,
        ModelNotFound."""
        stop = offset + length if self.size < 0 else min(offset + length, self.size)
        if stop <= offset:
            return b""

        async def taken(reply: Reply) -> bytes:
            if reply.status == 416:
                return b""
            if reply.status == 200:
                return await self._from_start(reply, offset, stop)
            return await self._part(reply, offset, stop)

        return await self.fetch(client, lambda: (offset, stop), taken)

    async def fetch(
        self,
        client: Client,
        span: Callable[[], tuple[int, int] | None],
        taken: Callable[[Reply], Awaitable[T]],
        *,
        resumes: bool = False,
    ) -> T:
        """What `taken` makes of a reply to the request for `span()` (first byte, byte after the last; None for the
        whole): of status 206, the range that was asked for; of 200, the whole file; of 416, nothing, since the file
        ends before. See `Client.fetch` for `resumes`."""

        async def handle(reply: Reply) -> T:
            self._checked(reply, (span() or (0, 0))[0])
            return await taken(reply)

        while True:
            direct = self._direct
            try:
                return await client.fetch(partial(self._question, direct, span), handle, resumes=resumes)
            except Expired:
                if not direct:
                    raise
                self._direct = ""

    def _question(self, direct: str, span: Callable[[], tuple[int, int] | None]) -> Question:
        return Question(direct or self.url, {} if direct else self._secrets, span=span())

    def _checked(self, reply: Reply, offset: int) -> None:
        """Raises where the reply is not of the file that is being read, or not of the part that was asked for."""
        if reply.status == 416 and reply.span:
            self._remember(reply, reply.span[2])
            if reply.span[2] <= offset:
                return
        if reply.status not in (200, 206):
            if self._direct and reply.status in EXPIRED:
                raise Expired(url=shown(self._direct), detail=f"HTTP {reply.status}")
            raise refusal(reply, self.url, bool(self._secrets))
        if reply.status == 200:
            self._remember(reply, reply.length)
        elif reply.span is None or reply.span[0] != offset or reply.span[2] < 0:
            detail = f"Content-Range: {reply.header('Content-Range') or '-'}"
            raise ForeignAnswer(url=shown(self.url), detail=detail)
        else:
            self._remember(reply, reply.span[2])

    async def _part(self, reply: Reply, offset: int, stop: int) -> bytes:
        wanted = min(stop, self.size) - offset
        content = await reply.start(wanted + 1)
        self.moved += len(content)
        if len(content) != wanted:
            raise ForeignAnswer(url=shown(self.url), detail=f"{len(content)} bytes instead of {wanted}")
        return content

    async def _from_start(self, reply: Reply, offset: int, stop: int) -> bytes:
        """A server without ranges sends all of it: take the beginning and hang up."""
        if stop > WHOLE:
            raise NoRanges(url=shown(self.url))
        content = await reply.start(stop)
        self.moved += len(content)
        return content[offset:]

    def _remember(self, reply: Reply, size: int) -> None:
        version = reply.headers.get("ETag", "")
        if size < 0 and self.size < 0:
            raise ForeignAnswer(url=shown(self.url), detail="it does not tell its size")
        if self._told and size >= 0 and size != self.size:
            raise WrongLength(url=shown(self.url), got=size, wanted=self.size)
        if self.size < 0:
            self.size, self._version = size, version
        elif not self._told and (size != self.size or (version and self._version and version != self._version)):
            raise ChangedMeanwhile(url=shown(self.url))
        if host_of(reply.url) != host_of(self.url):
            self._direct = reply.url


class Expired(ForeignAnswer):
    """A signed address that was remembered is no longer valid. Facts: `url`, `detail`."""
