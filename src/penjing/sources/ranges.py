"""Random access to files elsewhere, for plain functions: what is read is what is moved.

Does not know: what the bytes mean. Not for use within a running event loop (see `loop`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path
from urllib.parse import unquote, urlsplit

from penjing.sources.client import Client
from penjing.sources.far import Far
from penjing.sources.loop import Loop

AT_ONCE = 8
"""Requests in flight."""


class Several:
    """The files at some URLs (`https:`, `http:` or `file:`), over connections they share. `secrets` are headers for
    the URLs' own hosts. A context manager.

    Methods raise NetworkError, AccessError, ModelNotFound where the bytes cannot be had, OSError for a file here."""

    def __init__(self, secrets: Mapping[str, str] | None = None) -> None:
        self._secrets = dict(secrets or {})
        self._files: dict[str, Far] = {}
        self._loop: Loop | None = None
        self._client: Client | None = None

    def __enter__(self) -> Several:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    @property
    def moved(self) -> int:
        """Bytes of content that came over the network."""
        return sum(file.moved for file in self._files.values())

    def size(self, url: str) -> int:
        """Of a whole file, in bytes."""
        if url.startswith("file:"):
            return _here(url).stat().st_size
        if url not in self._files or self._files[url].size < 0:
            self.read_many([(url, 0, 1)])
        return self._files[url].size

    def read_many(self, spans: Sequence[tuple[str, int, int]]) -> list[bytes]:
        """Each `(url, offset, length)`, asked for at the same time; fewer bytes where a file ends."""
        if self._loop is None:
            self._loop = Loop()
        return self._loop.run(self._read(spans))

    def close(self) -> None:
        """Close the connections. May be called again."""
        if self._loop is not None:
            if self._client is not None:
                self._loop.run(self._client.__aexit__())
                self._client = None
            self._loop.close()
            self._loop = None

    async def _read(self, spans: Sequence[tuple[str, int, int]]) -> list[bytes]:
        if self._client is None:
            self._client = await Client().__aenter__()
        client, gate = self._client, asyncio.Semaphore(AT_ONCE)

        async def one(url: str, offset: int, length: int) -> bytes:
            if url.startswith("file:"):
                return _read_here(url, offset, length)
            if url not in self._files:
                self._files[url] = Far(url, self._secrets)
            async with gate:
                return await self._files[url].read(client, offset, length)

        return await asyncio.gather(*(one(*span) for span in spans))


class Ranges:
    """One file at `url`: see `Several`. A context manager."""

    def __init__(self, url: str, secrets: Mapping[str, str] | None = None) -> None:
        self.url = url
        self._several = Several(secrets)

    def __enter__(self) -> Ranges:
        return self

    def __exit__(self, *error: object) -> None:
        self._several.close()

    @property
    def size(self) -> int:
        """Of the whole file, in bytes."""
        return self._several.size(self.url)

    @property
    def moved(self) -> int:
        """Bytes of content that came over the network."""
        return self._several.moved

    def read(self, offset: int, length: int) -> bytes:
        """`length` bytes from `offset` on, fewer where the file ends."""
        return self._several.read_many([(self.url, offset, length)])[0]


def _here(url: str) -> Path:
    return Path(unquote(urlsplit(url).path))


def _read_here(url: str, offset: int, length: int) -> bytes:
    with _here(url).open("rb") as stream:
        stream.seek(offset)
        return stream.read(length)
