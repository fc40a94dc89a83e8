"""Files that arrive in pieces, in any order.

Does not know: where the pieces come from.
"""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path
from typing import BinaryIO

from penjing.errors import DiskFull
from penjing.files import NO_ROOM, human
from penjing.sources.far import Far
from penjing.sources.source import RemoteFile
from penjing.store.journal import Journal, Span, missing

HASHED = 8 << 20
"""Bytes that are hashed at a time, in a thread."""
PIECE = 16 << 20
"""Bytes that one connection fetches at a time."""


class Part:
    """One file of a download: `number` in its journal, `path` where its bytes go."""

    def __init__(self, number: int, file: RemoteFile, far: Far, path: Path, journal: Journal) -> None:
        self.number, self.file, self.far, self.path = number, file, far, path
        self._journal = journal
        self._stream: BinaryIO | None = None
        self._restart()

    def _restart(self) -> None:
        self.sha256 = hashlib.sha256()
        self.git = hashlib.sha1(b"blob %d\0" % self.file.bytes, usedforsecurity=False)
        self.hashed = 0
        self.resumed = bool(self._journal.done(self.number))
        self.claimed = False

    @property
    def size(self) -> int:
        """In bytes; -1 where nobody knows before the end."""
        return self.file.bytes if self.file.bytes >= 0 else self._stop_of_last

    @property
    def _stop_of_last(self) -> int:
        spans = self._journal.done(self.number)
        return spans[-1][1] if spans else -1

    @property
    def arrived(self) -> int:
        """Bytes that are here."""
        return sum(stop - start for start, stop in self._journal.done(self.number))

    @property
    def prefix(self) -> int:
        """Bytes that are here without a gap from the beginning."""
        spans = self._journal.done(self.number)
        return spans[0][1] if spans and spans[0][0] == 0 else 0

    @property
    def whole(self) -> bool:
        """Whether all is here."""
        return self.file.bytes == 0 or (self.size > 0 and self.prefix == self.size)

    def pieces(self) -> list[Span]:
        """What is missing, in pieces; one piece for a file of unknown size."""
        if self.file.bytes < 0:
            return [] if self.whole else [(0, 0)]
        gaps = missing(self._journal.done(self.number), self.file.bytes)
        return [(start, min(start + PIECE, stop)) for first, stop in gaps for start in range(first, stop, PIECE)]

    def prepare(self) -> None:
        """Make the file ready to be written into, unless it is whole. Raises DiskFull."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        if self.path.exists() and not self.whole and self.path.stat().st_nlink > 1:
            self.restart()  # somebody else's file under this name: it is not written into
        there = self.path.exists()
        if self._journal.done(self.number) and (not there or self.path.stat().st_size < self._stop_of_last):
            self.restart()
            there = False
        if not there:
            self.path.touch()
        if not self.whole:
            self._stream = self.path.open("r+b", buffering=0)

    def restart(self) -> None:
        """Nothing of it is here."""
        self.close()
        self.path.unlink(missing_ok=True)
        self._journal.forget(self.number)
        self._restart()

    def write(self, at: int, block: bytes) -> None:
        """Put bytes into their place. Raises DiskFull."""
        assert self._stream is not None, "prepared before"
        try:
            self._stream.seek(at)
            view = memoryview(block)
            while view:
                view = view[self._stream.write(view) :]
        except OSError as error:
            if error.errno not in NO_ROOM:
                raise
            free = shutil.disk_usage(self.path.parent).free
            needed = human(max(self.file.bytes, 0) - self.arrived)
            raise DiskFull(path=str(self.path.parent), needed=needed, free=human(free)) from error

    def note(self, start: int, stop: int) -> None:
        """These bytes are written."""
        self._journal.add(self.number, start, stop)

    def hash_more(self) -> None:
        """Hash the next bytes that are here without a gap. Runs in a thread."""
        length = min(self.prefix - self.hashed, HASHED)
        with self.path.open("rb") as stream:
            stream.seek(self.hashed)
            block = stream.read(length)
        self.sha256.update(block)
        if self.file.git:
            self.git.update(block)
        self.hashed += len(block)
        if len(block) < length:
            raise OSError(f"{self.path} became shorter")

    def close(self) -> None:
        """Close the file. May be called again."""
        if self._stream is not None:
            self._stream.close()
            self._stream = None
