"""Files are fetched in pieces over several connections, hashed while they arrive, and gone on with after any stop.

Does not know: which files are needed, what becomes of them.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections import deque
from collections.abc import Coroutine, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from penjing.errors import ModelCorrupt
from penjing.progress import Report, Transfer
from penjing.sources.client import Client, host_of, shown
from penjing.sources.far import Far
from penjing.sources.faults import ForeignAnswer
from penjing.sources.reply import Reply
from penjing.sources.source import RemoteFile
from penjing.store.journal import Journal
from penjing.store.parts import Part

CONNECTIONS = 8
NOTED = 4 << 20
"""Bytes after which a piece's progress is written down."""
TOLD = 0.2
"""Seconds between two reports."""
JOURNAL = "journal"


class WrongDigest(ModelCorrupt):
    """Facts: `path`, `host`, `got`, `wanted` (hex)."""

    template = (
        "{path} from {host} has another content than its source lists: {got} instead of {wanted}. It was not kept."
    )
    hint = "Try again; if it stays so, the server or something on the way changes files: do not use it."
    code = "source_wrong_digest"


class Download:
    """Brings `files` into `folder`, each under its path. `secrets` go to the files' own host only."""

    def __init__(
        self,
        files: Sequence[RemoteFile],
        secrets: Mapping[str, str],
        folder: Path,
        *,
        version: str = "",
        connections: int = CONNECTIONS,
        report: Report | None = None,
    ) -> None:
        self._files, self._secrets, self._folder = files, secrets, folder
        self._connections, self._report = connections, report
        self._subject = subject(files, version)
        self._parts: list[Part] = []
        self._queue: deque[tuple[Part, int, int]] = deque()
        self._arrived = asyncio.Event()
        self._finished = False
        self.moved = 0
        self.before = 0

    async def run(self, client: Client) -> list[str]:
        """The SHA-256 of each file, in order. Raises WrongDigest, DiskFull, and what `Far.fetch` raises; whatever it
        raises, the next run goes on where this one stopped."""
        self._folder.mkdir(parents=True, exist_ok=True)
        with Journal(self._folder / JOURNAL, self._subject) as journal:
            self._parts = [
                Part(number, file, Far(file.url, self._secrets, file.bytes), self._folder / file.path, journal)
                for number, file in enumerate(self._files)
            ]
            try:
                for part in self._parts:
                    self._begin(part)
                self.before = sum(part.arrived for part in self._parts)
                workers = [self._work(client) for _ in range(self._connections)]
                await together(*workers, self._hash(), self._tell())
            finally:
                for part in self._parts:
                    part.close()
        return [part.sha256.hexdigest() for part in self._parts]

    def _begin(self, part: Part) -> None:
        part.prepare()
        self._queue.extend((part, start, stop) for start, stop in part.pieces())

    async def _work(self, client: Client) -> None:
        while not self._finished:  # a file may have to be fetched again when its digest is known
            if not self._queue:
                await self._news()
                continue
            part, start, stop = self._queue.popleft()
            if part.claimed:
                continue
            try:
                await (self._piece(client, part, start, stop) if stop else self._all_of(client, part))
            except _Unranged:
                if not part.claimed:
                    part.claimed = True
                    await self._all_of(client, part)

    async def _piece(self, client: Client, part: Part, start: int, stop: int) -> None:
        at = noted = start

        async def taken(reply: Reply) -> None:
            nonlocal at, noted
            if reply.status == 200:
                if (start, stop) != (0, part.file.bytes):
                    raise _Unranged
                at = noted = 0
            async for block in reply.blocks():
                if at + len(block) > stop:
                    raise ForeignAnswer(url=shown(part.file.url), detail="more bytes than were asked for")
                part.write(at, block)
                at += len(block)
                self.moved += len(block)
                if at - noted >= NOTED:
                    noted = self._note(part, noted, at)
            noted = self._note(part, noted, at)
            if at < stop:
                raise ConnectionError("the answer ended too early")

        try:
            await part.far.fetch(client, lambda: (at, stop), taken, resumes=True)
        finally:
            self._note(part, noted, at)

    async def _all_of(self, client: Client, part: Part) -> None:
        """From a server without ranges, or of unknown size: in one go, from the beginning each time."""

        async def taken(reply: Reply) -> None:
            at = 0
            async for block in reply.blocks():
                part.write(at, block)
                at += len(block)
                self.moved += len(block)
            if at < max(part.file.bytes, reply.length):
                raise ConnectionError("the answer ended too early")
            self._note(part, 0, at)

        await part.far.fetch(client, lambda: None, taken)

    def _note(self, part: Part, start: int, stop: int) -> int:
        part.note(start, stop)
        self._arrived.set()
        return stop

    async def _hash(self) -> None:
        """Follow the files in order, hashing what has arrived of each without a gap."""
        for part in self._parts:
            while True:
                while not (part.whole and part.hashed == part.size) and part.file.bytes != 0:
                    if part.hashed < part.prefix:
                        await asyncio.to_thread(part.hash_more)
                    else:
                        await self._news()
                fault = _wrong(part)
                if fault is None:
                    break
                resumed = part.resumed
                part.restart()
                if not resumed:
                    raise fault
                self._begin(part)
                self._arrived.set()
        self._finished = True
        self._arrived.set()

    async def _news(self) -> None:
        """Wait until something has arrived, or for a moment."""
        self._arrived.clear()
        waiting = asyncio.ensure_future(self._arrived.wait())
        try:
            await asyncio.wait({waiting}, timeout=TOLD)  # `wait_for` may swallow a cancellation
        finally:
            waiting.cancel()

    async def _tell(self) -> None:
        total = sum(max(part.file.bytes, 0) for part in self._parts)
        while True:
            done = sum(part.arrived for part in self._parts)
            finished = self._finished  # before the report, so that the last one tells of the end
            if self._report is not None:
                fraction = min(done / total, 1.0) if total else 1.0
                self._report(Transfer(fraction, "downloading", done, total, self.before))
            if finished:
                return
            await asyncio.sleep(TOLD)


class _Unranged(Exception):
    """The server sent the whole file where a part was asked for."""


def subject(files: Sequence[RemoteFile], version: str) -> str:
    """What a journal is about: these files in this version, and no others."""
    described = [(file.path, file.bytes, file.sha256 or file.git or file.url) for file in files]
    return hashlib.sha256(msgspec.json.encode((version, described))).hexdigest()


def _wrong(part: Part) -> WrongDigest | None:
    pairs = ((part.file.sha256, part.sha256.hexdigest()), (part.file.git, part.git.hexdigest()))
    for wanted, got in pairs:
        if wanted and wanted != got:
            return WrongDigest(path=part.file.path, host=host_of(part.file.url), got=got, wanted=wanted)
    return None


async def together(*works: Coroutine[Any, Any, None]) -> None:
    """All at once; the first failure ends the others, which may still clean up, and is raised."""
    tasks = [asyncio.ensure_future(work) for work in works]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
