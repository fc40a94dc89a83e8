"""Where chunks come from when they are not here: a folder (a USB disk, a share), or any web server.

    BASE/index.json               which versions there are (`bundle`)
    BASE/versions/DIGEST          the index of each
    BASE/chunks/ab/abcdef...      each chunk under its SHA-256 in hex

Both are context managers and are called with the chunks that are wanted: `delta.Fetch`.

Does not know: whether the bytes are right (`delta` looks).
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from penjing.files import expanded
from penjing.store.faults import NotABundle
from penjing.store.index import Chunk

if TYPE_CHECKING:
    from contextlib import ExitStack

    from penjing.sources.client import Client
    from penjing.sources.loop import Loop
    from penjing.sources.patience import Patience
    from penjing.sources.reply import Reply

AT_ONCE = 8
"""Requests in flight; with chunks of 4 MiB this bounds memory too."""
LARGEST_PAGE = 64 << 20
"""Bytes an index may have: a model of 7 TB."""


class Place(Protocol):
    """`str()` of it is where it is. Methods raise NotABundle, NetworkError, OSError."""

    def __enter__(self) -> Place: ...

    def __exit__(self, *error: object) -> None: ...

    def __call__(self, chunks: Sequence[Chunk]) -> Iterator[bytes]:
        """The bytes of each, in this order."""

    def page(self, path: str) -> bytes:
        """A small file by its path under the base."""


def place(text: str) -> Place:
    """A folder's path, or a URL with http: or https:."""
    return Web(text) if text.startswith(("http://", "https://")) else Folder(expanded(text))


def path_of(chunk: Chunk) -> str:
    """Where a chunk lies under the base."""
    return f"chunks/{chunk.name[:2]}/{chunk.name}"


class Folder:
    """A folder on this machine."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __str__(self) -> str:
        return str(self.path)

    def __enter__(self) -> Folder:
        return self

    def __exit__(self, *error: object) -> None: ...

    def __call__(self, chunks: Sequence[Chunk]) -> Iterator[bytes]:
        return (self.page(path_of(chunk)) for chunk in chunks)

    def page(self, path: str) -> bytes:
        """A file under the folder."""
        try:
            return (self.path / path).read_bytes()
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError) as error:
            raise NotABundle(place=str(self), path=path) from error


class Web:
    """A web server that gives files; a CDN or cache may stand in front. `secrets` are headers for its own host."""

    def __init__(self, base: str, secrets: Mapping[str, str] | None = None, patience: Patience | None = None) -> None:
        self.base = base.rstrip("/")
        self.secrets = dict(secrets or {})
        self.patience = patience
        self._loop: Loop | None = None
        self._client: Client | None = None
        self._stack: ExitStack | None = None

    def __str__(self) -> str:
        return self.base

    def __enter__(self) -> Web:
        from contextlib import ExitStack

        from penjing.sources.loop import Loop

        with ExitStack() as stack:
            self._loop = stack.enter_context(Loop())
            self._client = stack.enter_context(self._loop.client(self.patience))
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *error: object) -> None:
        if self._stack is not None:
            self._stack.close()

    def __call__(self, chunks: Sequence[Chunk]) -> Iterator[bytes]:
        """Some are asked for ahead of the one that is waited for."""
        assert self._loop is not None, "the place is used within its block"
        flying: deque[asyncio.Task[bytes]] = deque()
        left = deque(chunks)

        async def following() -> bytes:
            while left and len(flying) < AT_ONCE:
                chunk = left.popleft()
                flying.append(asyncio.create_task(self._get(path_of(chunk), chunk.bytes)))
            return await flying.popleft()

        for _ in range(len(chunks)):
            yield self._loop.run(following())

    def page(self, path: str) -> bytes:
        """A file under the base."""
        assert self._loop is not None, "the place is used within its block"
        return self._loop.run(self._get(path, LARGEST_PAGE))

    async def _get(self, path: str, most: int) -> bytes:
        from penjing.sources.client import Question
        from penjing.sources.faults import ForeignAnswer
        from penjing.sources.refusal import refusal

        assert self._client is not None
        url = f"{self.base}/{path}"

        async def handle(reply: Reply) -> bytes:
            if reply.status in (404, 410):
                raise NotABundle(place=str(self), path=path)
            if reply.status != 200:
                raise refusal(reply, url, bool(self.secrets))
            content = await reply.read(most)
            if 0 <= reply.length != len(content):
                raise ForeignAnswer(url=url, detail=f"{len(content)} bytes instead of {reply.length}")
            return content

        return await self._client.fetch(Question(url, self.secrets), handle)
