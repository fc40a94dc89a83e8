"""One HTTP answer, its body unread.

Does not know: why it was asked for.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Mapping
from typing import TYPE_CHECKING

from penjing.sources.faults import ForeignAnswer

if TYPE_CHECKING:
    import aiohttp

CONTENT_RANGE = re.compile(r"bytes (?:(\d+)-(\d+)|\*)/(\d+|\*)")
BLOCK = 1 << 20


class Reply:
    """`url` is where it came from after all redirects, `hops` the headers of the redirects on the way, `received` the
    bytes of its body that were read."""

    def __init__(self, response: aiohttp.ClientResponse, url: str, hops: tuple[Mapping[str, str], ...] = ()) -> None:
        self._response = response
        self.status = response.status
        self.headers: Mapping[str, str] = response.headers
        self.url = url
        self.hops = hops
        self.received = 0

    def header(self, name: str) -> str:
        """The header of this answer or else of a redirect before it (a hub describes the file there); empty without."""
        return next((found[name] for found in (self.headers, *self.hops) if name in found), "")

    @property
    def length(self) -> int:
        """Bytes of the body; -1 where the server does not say."""
        found = self.headers.get("Content-Length", "")
        return int(found) if found.isdecimal() else -1

    @property
    def span(self) -> tuple[int, int, int] | None:
        """First byte, byte after the last, and size of the whole (-1 unknown) of a partial answer; of `bytes */SIZE`
        (0, 0, SIZE)."""
        found = CONTENT_RANGE.fullmatch(self.headers.get("Content-Range", "").strip())
        if not found:
            return None
        first, last, size = found.groups()
        return int(first or 0), int(last) + 1 if last else 0, -1 if size == "*" else int(size)

    async def blocks(self) -> AsyncIterator[bytes]:
        """The body as it arrives. Raises aiohttp.ClientError where it breaks off, which `Client.fetch` understands."""
        async for block in self._response.content.iter_any():
            self.received += len(block)
            yield block

    async def read(self, most: int) -> bytes:
        """The whole body. Raises ForeignAnswer where it is longer than `most`."""
        found = bytearray()
        async for block in self.blocks():
            found += block
            if len(found) > most:
                raise ForeignAnswer(url=self.url.partition("?")[0], detail=f"more than {most} bytes")
        return bytes(found)

    async def start(self, count: int) -> bytes:
        """The first `count` bytes of the body, or all of a shorter one; the rest is not read."""
        found = bytearray()
        async for block in self.blocks():
            found += block
            if len(found) >= count:
                break
        return bytes(found[:count])

    def close(self) -> None:
        """Give the connection back where the body was read to its end, else close it."""
        if self._response.content.at_eof():
            self._response.release()
        else:
            self._response.close()
