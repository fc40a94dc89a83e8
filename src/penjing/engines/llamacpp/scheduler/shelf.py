"""Conversations on disk: the KV state of those that left the cache, for when they come back, also after a restart.

A file has a head of JSON (its voice, its tokens, the checksum of the rest) and the state as the library wrote it. Its
folder is named after everything that the state depends on: model, library, machine, types of the cache. A file that is
not whole is removed with a line in the log, and its conversation computed again.

Does not know: the scheduler, the context.
"""

from __future__ import annotations

import hashlib
import heapq
import json
import logging
import os
import queue
import threading
import time
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from penjing.engines.llamacpp.scheduler.beginnings import Beginnings
from penjing.errors import DiskFull, PenjingError
from penjing.files import writing

FORMAT = 2
MAGIC = b"penjing-kv\n"
SUFFIX = ".kv"
DAY = 86_400.0
HOUR = 3600.0
"""Seconds after which nobody writes a file any more, and after which what is too old is looked for again."""
SPARE, AT_ONCE = 0.1, 1024
"""Of the budget, what is made free when it is used up, and how many files are removed after a look: looking at all
takes long where there are thousands."""
LONGEST_HEAD = 64 << 20
WAITING = 4
"""States that wait to be written at most; one more is not kept."""

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Held:
    """Whose state a file has: `tokens` i32 [n], computed with `voice`."""

    voice: str
    tokens: NDArray[np.int32]


@dataclass(frozen=True)
class Found:
    """A file in which `same` tokens are those that were looked for, of `length`."""

    path: Path
    same: int
    length: int


class Shelf:
    """Conversations in `folder` whose states fit together, at most `budget` bytes, the one that was not used for the
    longest time gone first, and none older than `days`. `key` names whatever they depend on; it is asked in another
    thread, for it may take long (a digest of the model), and until then nothing is found."""

    def __init__(self, folder: Path, key: Callable[[], str], budget: int, days: float = 30) -> None:
        self.budget, self.days = budget, days
        self.folder = folder
        self._key, self._held = key, dict[str, Beginnings]()  # by voice
        self._total, self._looked = 0, -HOUR
        self._lock, self._opened = threading.Lock(), threading.Event()
        self._queue: queue.Queue[tuple[Held, NDArray[np.uint8]] | None] = queue.Queue(WAITING)
        self._writer = threading.Thread(target=self._work, daemon=True, name="shelf")
        self._writer.start()

    def wait(self, seconds: float | None = None) -> Shelf:
        """Return when it is known what is there, or after `seconds`."""
        self._opened.wait(seconds)
        return self

    def _open(self) -> None:
        """Raises OSError, PenjingError where the key cannot be told."""
        self.folder = self.folder / hashlib.sha256(self._key().encode()).hexdigest()[:32]
        if self.folder.is_dir():
            self._clean()
            for _, _, name in self._files():
                self._note(self.folder / name)

    def _clean(self) -> None:
        """Remove what a killed process left half-written."""
        for path in self.folder.glob(".*.part"):
            with suppress(OSError):
                if time.time() - path.stat().st_mtime > HOUR:
                    path.unlink()

    def find(self, tokens: Sequence[int], least: int, voice: str = "") -> Found | None:
        """The file that has most of the beginning of `tokens` in this `voice`, if it has at least `least` of them."""
        wanted = np.asarray(tokens, np.int32)
        with self._lock:
            nearest, same = self._held.get(voice, Beginnings()).nearest(wanted)
        if same < max(least, 1):
            return None
        return Found(self._path(Held(voice, nearest)), same, len(nearest))

    def has(self, tokens: Sequence[int], voice: str = "") -> bool:
        """Whether all of `tokens` are in some file."""
        return self.find(tokens, len(tokens), voice) is not None

    def load(self, path: Path) -> tuple[list[int], NDArray[np.uint8]] | None:
        """Tokens and state of a file; None where it is not whole: then it is gone."""
        try:
            with path.open("rb") as stream:
                held, checksum, size = _head(stream)
                state = np.fromfile(stream, np.uint8)
            if len(state) != size or zlib.crc32(state.data) != checksum:
                raise ValueError("its checksum is wrong")
            os.utime(path)
        except (OSError, ValueError) as error:
            self.refuse(path, str(error))
            return None
        return held.tokens.tolist(), state

    def refuse(self, path: Path, why: str) -> None:
        """This file is of no use: forget it."""
        log.warning("a conversation on disk is computed again: %s: %s", path.name, why)
        self._forget({path})
        self._remove(path)

    def save(self, tokens: Sequence[int], state: NDArray[np.uint8], voice: str = "", wait: float = 0.0) -> bool:
        """Write soon, by another thread; False where too much is waiting to be written, also after `wait` seconds."""
        one = Held(voice, np.asarray(tokens, np.int32)), state
        try:
            self._queue.put(one, block=wait > 0, timeout=wait)
        except queue.Full:
            return False
        return True

    def close(self) -> None:
        """Return when everything is written."""
        self._queue.put(None)
        self._writer.join()

    def _work(self) -> None:
        try:
            self._open()
        except (OSError, PenjingError) as error:
            log.warning("no conversations are kept: %s", error)
            self.budget = 0
        self._opened.set()
        while (one := self._queue.get()) is not None:
            held, state = one
            if state.nbytes <= self.budget:
                self._write(held, state)

    def _write(self, held: Held, state: NDArray[np.uint8]) -> None:
        path = self._path(held)
        try:
            self._write_file(path, held, state)
        except (OSError, DiskFull) as error:
            log.warning("a conversation is not kept: %s", error)
            return
        self._add(held)

    def _path(self, held: Held) -> Path:
        name = hashlib.sha256(held.voice.encode() + b"\0" + held.tokens.tobytes()).hexdigest()[:32]
        return self.folder / (name + SUFFIX)

    def _write_file(self, path: Path, held: Held, state: NDArray[np.uint8]) -> None:
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._make_room(state.nbytes)
        tokens = held.tokens
        facts = {"format": FORMAT, "voice": held.voice, "tokens": len(tokens), "size": state.nbytes}
        checks = {
            "checksum": zlib.crc32(state.data),
            "tokens_checksum": zlib.crc32(tokens.data, zlib.crc32(held.voice.encode())),
        }
        head = json.dumps(facts | checks).encode()
        with writing(path, private=True) as stream:
            for part in (MAGIC, len(head).to_bytes(8, "little"), head, tokens.data, state.data):
                stream.write(part)

    def _add(self, held: Held) -> None:
        """It has a file; one that it goes on from is of no more use."""
        path = self._path(held)
        with self._lock:
            useless = self._held.setdefault(held.voice, Beginnings()).add(held.tokens)
            self._total += _size(path)
        if useless is not None:
            self._remove(self._path(Held(held.voice, useless)))

    def _forget(self, paths: set[Path]) -> None:
        """These files are gone. Their conversations are looked for among all, which takes a while."""
        with self._lock:
            kept = list(self._held.items())
        gone = [(one, each) for voice, one in kept for each in one if self._path(Held(voice, each)) in paths]
        with self._lock:
            for one, tokens in gone:
                one.drop(tokens)

    def _remove(self, path: Path) -> bool:
        """False where that cannot be done."""
        try:
            size = path.stat().st_size
            path.unlink()
        except OSError:
            return False
        self._total -= size
        return True

    def _make_room(self, wanted: int) -> None:
        """Where it is time, remove what is too old, and enough for `wanted` bytes more."""
        now, over = time.monotonic(), self._total + wanted > self.budget
        if not over and now - self._looked < HOUR:
            return
        self._looked = now
        self._total = sum(size for _, size, _ in self._files())
        most = self.budget * (1 - SPARE if over else 1) - wanted
        oldest, going = time.time() - self.days * DAY, True
        while going:
            gone, left = set(), self._total
            for used, size, name in heapq.nsmallest(AT_ONCE, self._files()):
                if used >= oldest and left <= most:
                    break
                left -= size
                gone.add(self.folder / name)
            self._forget(gone)
            going = sum(map(self._remove, gone)) == AT_ONCE

    def _files(self) -> Iterator[tuple[float, int, str]]:
        """When each was used last, its bytes, its name: one at a time, since a list of thousands would stay in the
        memory of this process."""
        with os.scandir(self.folder) as entries:
            for entry in entries:
                if entry.name.endswith(SUFFIX):
                    with suppress(OSError):
                        facts = entry.stat()
                        yield facts.st_mtime, facts.st_size, entry.name

    def _note(self, path: Path) -> None:
        try:
            with path.open("rb") as stream:
                held, _, size = _head(stream)
                if path.stat().st_size != stream.tell() + size:
                    raise ValueError("it is not complete")
        except (OSError, ValueError) as error:
            self.refuse(path, str(error))
            return
        if path != self._path(held):
            self.refuse(path, "it has another's name")
            return
        self._add(held)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _head(stream: BinaryIO) -> tuple[Held, int, int]:
    """Whose it is, checksum and size of the state that follows. Raises ValueError."""
    begin = stream.read(len(MAGIC) + 8)
    size = int.from_bytes(begin[len(MAGIC) :], "little")
    if not begin.startswith(MAGIC) or not 0 < size <= LONGEST_HEAD:
        raise ValueError("it is no state of a conversation")
    try:
        facts = json.loads(stream.read(size))
        count, known, voice = int(facts["tokens"]), facts["format"] == FORMAT, str(facts["voice"])
        checksum, length, mark = int(facts["checksum"]), int(facts["size"]), int(facts["tokens_checksum"])
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError("its head cannot be read") from error
    raw = stream.read(4 * count) if known and 0 < count <= LONGEST_HEAD else b""
    if len(raw) != 4 * count or not raw or zlib.crc32(raw, zlib.crc32(voice.encode())) != mark:
        raise ValueError("its head cannot be read")
    return Held(voice, np.frombuffer(raw, np.int32)), checksum, length
