"""Conversations on disk: the KV state of those that left the cache, for when they come back, also after a restart.

A file has a head of JSON (what it is of, its tokens, the checksum of the rest) and the state as the library wrote it.
Its folder is named after everything that the state depends on: model, library, types of the cache. A file that is not
whole is removed with a line in the log, and its conversation computed again.

Does not know: the scheduler, the context.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import queue
import threading
import time
import zlib
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from penjing.errors import DiskFull
from penjing.files import writing

FORMAT = 1
MAGIC = b"penjing-kv\n"
SUFFIX = ".kv"
DAY = 86_400.0
ABANDONED = 3600.0
"""Seconds after which nobody writes a file any more."""
LONGEST_HEAD = 64 << 20
WAITING = 4
"""States that wait to be written at most; one more is not kept."""

log = logging.getLogger(__name__)


class Shelf:
    """Conversations in `folder` whose states fit together (`key`: whatever they depend on), at most `budget` bytes, the
    one that was not used for the longest time gone first, and none older than `days`."""

    def __init__(self, folder: Path, key: str, budget: int, days: float = 30) -> None:
        self.folder = folder / hashlib.sha256(key.encode()).hexdigest()[:32]
        self.budget, self.days = budget, days
        self._tokens: dict[Path, NDArray[np.int32]] = {}
        self._lock = threading.Lock()
        self._queue: queue.Queue[tuple[Path, NDArray[np.int32], NDArray[np.uint8]] | None] = queue.Queue(WAITING)
        if self.folder.is_dir():
            self._clean()
            for path in sorted(self.folder.glob("*" + SUFFIX)):
                self._note(path)
        self._writer = threading.Thread(target=self._write_all, daemon=True, name="shelf")
        self._writer.start()

    def _clean(self) -> None:
        """Remove what a killed process left half-written."""
        for path in self.folder.glob(".*.part"):
            with suppress(OSError):
                if time.time() - path.stat().st_mtime > ABANDONED:
                    path.unlink()

    def find(self, tokens: Sequence[int], least: int) -> tuple[Path, int] | None:
        """The file that has most of the beginning of `tokens`, at least `least` of them, and how many."""
        wanted = np.asarray(tokens, np.int32)
        best: tuple[Path, int] | None = None
        with self._lock:
            for path, held in self._tokens.items():
                count = min(len(held), len(wanted))
                differ = np.flatnonzero(held[:count] != wanted[:count])
                same = int(differ[0]) if len(differ) else count
                if same >= max(least, 1):
                    best, least = (path, same), same + 1
        return best

    def length(self, path: Path) -> int:
        """Tokens of the whole state in a file."""
        with self._lock:
            return len(self._tokens.get(path, ()))

    def has(self, tokens: Sequence[int]) -> bool:
        """Whether all of `tokens` are in some file."""
        return self.find(tokens, len(tokens)) is not None

    def load(self, path: Path) -> tuple[list[int], NDArray[np.uint8]] | None:
        """Tokens and state of a file; None where it is not whole: then it is gone."""
        try:
            with path.open("rb") as stream:
                tokens, checksum, size = _head(stream)
                state = np.fromfile(stream, np.uint8)
            if len(state) != size or zlib.crc32(state.data) != checksum:
                raise ValueError("its checksum is wrong")
            os.utime(path)
        except (OSError, ValueError) as error:
            self.refuse(path, str(error))
            return None
        return tokens.tolist(), state

    def refuse(self, path: Path, why: str) -> None:
        """This file is of no use: forget it."""
        log.warning("a conversation on disk is computed again: %s: %s", path.name, why)
        with self._lock:
            self._tokens.pop(path, None)
        with suppress(OSError):
            path.unlink()

    def save(self, tokens: Sequence[int], state: NDArray[np.uint8]) -> bool:
        """Write soon, by another thread; False where too much is waiting to be written."""
        held = np.asarray(tokens, np.int32)
        path = self.folder / (hashlib.sha256(held.tobytes()).hexdigest()[:32] + SUFFIX)
        try:
            self._queue.put_nowait((path, held, state))
        except queue.Full:
            return False
        return True

    def close(self) -> None:
        """Return when everything is written."""
        self._queue.put(None)
        self._writer.join()

    def _write_all(self) -> None:
        while (one := self._queue.get()) is not None:
            path, tokens, state = one
            if state.nbytes <= self.budget:
                self._write(path, tokens, state)

    def _write(self, path: Path, tokens: NDArray[np.int32], state: NDArray[np.uint8]) -> None:
        try:
            self._write_file(path, tokens, state)
        except (OSError, DiskFull) as error:
            log.warning("a conversation is not kept: %s", error)
            return
        self._supersede(path, tokens)

    def _write_file(self, path: Path, tokens: NDArray[np.int32], state: NDArray[np.uint8]) -> None:
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._make_room(state.nbytes)
        facts = {"format": FORMAT, "tokens": len(tokens), "size": state.nbytes, "checksum": zlib.crc32(state.data)}
        head = json.dumps(facts | {"tokens_checksum": zlib.crc32(tokens.data)}).encode()
        with writing(path, private=True) as stream:
            for part in (MAGIC, len(head).to_bytes(8, "little"), head, tokens.data, state.data):
                stream.write(part)

    def _supersede(self, path: Path, tokens: NDArray[np.int32]) -> None:
        """What `path` goes on from is in it."""
        with self._lock:
            shorter = [
                other
                for other, held in self._tokens.items()
                if len(held) < len(tokens) and np.array_equal(held, tokens[: len(held)])
            ]
            for other in shorter:
                del self._tokens[other]
            self._tokens[path] = tokens
        for other in shorter:
            with suppress(OSError):
                other.unlink()

    def _make_room(self, wanted: int) -> None:
        """Remove what is too old, and as much as is needed for `wanted` bytes more."""
        files = []
        for path in self.folder.glob("*" + SUFFIX):
            with suppress(OSError):
                facts = path.stat()
                files.append((facts.st_mtime, facts.st_size, path))
        total, oldest = sum(size for _, size, _ in files) + wanted, time.time() - self.days * DAY
        for used, size, path in sorted(files):
            if used >= oldest and total <= self.budget:
                break
            total -= size
            with self._lock:
                self._tokens.pop(path, None)
            with suppress(OSError):
                path.unlink()

    def _note(self, path: Path) -> None:
        try:
            with path.open("rb") as stream:
                tokens, _, size = _head(stream)
                if path.stat().st_size != stream.tell() + size:
                    raise ValueError("it is not complete")
        except (OSError, ValueError) as error:
            self.refuse(path, str(error))
            return
        self._tokens[path] = tokens


def _head(stream: BinaryIO) -> tuple[NDArray[np.int32], int, int]:
    """Tokens, checksum and size of the state that follows. Raises ValueError."""
    begin = stream.read(len(MAGIC) + 8)
    size = int.from_bytes(begin[len(MAGIC) :], "little")
    if not begin.startswith(MAGIC) or not 0 < size <= LONGEST_HEAD:
        raise ValueError("it is no state of a conversation")
    try:
        facts = json.loads(stream.read(size))
        count, known = int(facts["tokens"]), facts["format"] == FORMAT
        checksum, length, mark = int(facts["checksum"]), int(facts["size"]), int(facts["tokens_checksum"])
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError("its head cannot be read") from error
    raw = stream.read(4 * count) if known and 0 < count <= LONGEST_HEAD else b""
    if len(raw) != 4 * count or not raw or zlib.crc32(raw) != mark:
        raise ValueError("its head cannot be read")
    return np.frombuffer(raw, np.int32), checksum, length
