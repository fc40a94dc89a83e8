"""The log as it is written: records from the event loop, lines on disk by a thread of its own, many at once.

Nothing waits for the disk but who asks to (`written`). What cannot be written stays in memory and is tried again; how
long that is so can be asked (`failing`), and what had to be dropped is counted (`lost`).

Does not know: requests.
"""

from __future__ import annotations

import asyncio
import base64
import logging
import os
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, InvalidStateError
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Literal

from penjing.errors import MachineError
from penjing.files import sync_folder
from penjing.gateway.audit.chain import Chain, Torn, decoded
from penjing.gateway.audit.files import numbered, path_of, write_head
from penjing.lock import held_now

log = logging.getLogger(__name__)

LOCK = ".lock"
"""In the folder: who holds it writes."""
Sync = Literal["always", "second", "never"]
Make = Callable[[], dict[str, object]]
WAITING = 100_000
"""Records in memory while the disk cannot take them; beyond, the oldest are lost, which is counted."""
AGAIN = 1.0
"""Seconds between two tries to write to a disk that refused."""
BATCH = 1024
TORN_KEPT = 4096
"""Bytes of a torn line that its repair repeats."""


class AuditInUse(MachineError):
    """Facts: `folder`."""

    template = "Another server writes the audit log in {folder}."
    hint = "Give this one a folder of its own: [audit] folder = ..."
    code = "audit_in_use"


@dataclass(frozen=True)
class Rotation:
    """A new file begins after so many bytes or seconds; of all files the newest `keep` stay (0: all)."""

    most_bytes: int = 64 << 20
    most_seconds: float = 86400.0
    keep: int = 0


def now() -> str:
    """UTC, to the millisecond (RFC 3339)."""
    return datetime.now(timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z")


class Log:
    """The log in `folder`. Raises AuditInUse, and OSError where the folder cannot be written."""

    def __init__(
        self, folder: Path, secret: bytes = b"", sync: Sync = "second", rotation: Rotation | None = None
    ) -> None:
        self.failing = ""
        """Why the disk takes nothing just now; "" while it does."""
        self.lost = 0
        self._folder = folder
        self._sync = sync
        self._rotation = rotation or Rotation()
        self._held = ExitStack()
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._lock()
        self._chain = Chain(secret)
        self._queue: deque[tuple[Make, Future[None] | None]] = deque()
        self._wake = threading.Condition()
        self._closing = False
        self._synced = time.monotonic()
        self._dirty = False
        try:
            self._open()
        except BaseException:
            self._held.close()
            raise
        self._thread = threading.Thread(target=self._run, name="penjing-audit", daemon=True)
        self._thread.start()

    def _lock(self) -> None:
        if not self._held.enter_context(held_now(self._folder / LOCK)):
            self._held.close()
            raise AuditInUse(folder=str(self._folder))

    # any thread's side

    def add(self, make: Make) -> None:
        """Write what `make` returns; it is called in the log's thread. Returns at once."""
        self._put(make, None)

    async def written(self, make: Make) -> None:
        """As `add`, and wait until it is on disk as safely as configured. Raises OSError where it cannot be."""
        done: Future[None] = Future()
        self._put(make, done)
        await asyncio.wrap_future(done)

    def _put(self, make: Make, done: Future[None] | None) -> None:
        with self._wake:
            if len(self._queue) >= WAITING:
                self.lost += 1
                _, left = self._queue.popleft()
                _fail(left, OSError(self.failing or "too many records wait"))
            self._queue.append((make, done))
            self._wake.notify()

    def settle(self) -> None:
        """Wait until everything that was added is on disk."""
        done: Future[None] = Future()
        with self._wake:
            self._queue.append((dict, done))
            self._wake.notify()
        done.result()

    def close(self) -> None:
        """Write what is left, and let the files go."""
        with self._wake:
            self._closing = True
            self._wake.notify()
        self._thread.join()
        self._held.close()

    # the thread's side

    def _open(self) -> None:
        files = numbered(self._folder)
        self._number, path = files[-1] if files else (1, path_of(self._folder, 1))
        torn = b""
        for _, older in reversed(files):  # the newest may be empty
            cut = _resume(self._chain, older)
            torn = torn or cut
            if self._chain.number:
                break
        self._stream = open(path, "ab", buffering=0, opener=_private)  # noqa: SIM115  # open as long as the log is
        self._began = time.time()
        if torn:
            kept = base64.b64encode(torn[:TORN_KEPT]).decode()
            self._write([self._chain.line({"at": now(), "what": "repaired", "bytes": len(torn), "torn": kept})])
        self._write([self._chain.line({"at": now(), "what": "opened"})])
        self._settle_head(force=True)

    def _run(self) -> None:
        while True:
            with self._wake:
                while not self._queue and not self._closing:
                    if self._wake.wait(AGAIN if self._dirty else None) or not self._dirty:
                        continue
                    break
                batch = [self._queue.popleft() for _ in range(min(len(self._queue), BATCH))]
                closing = self._closing and not self._queue
            self._write_batch(batch)
            if closing:
                self._end()
                return

    def _write_batch(self, batch: list[tuple[Make, Future[None] | None]]) -> None:
        before = self._chain.number, self._chain.before
        lines = [self._chain.line(record) for make, _ in batch if (record := make())]
        try:
            self._write(lines)
        except OSError as error:
            self._chain.number, self._chain.before = before
            self._refused(batch, error)
            return
        if self._sync != "always":  # what is written is as safe as was asked for; the disk may take its time
            _tell(batch)
        try:
            self._settle_head(force=self._sync == "always" and bool(lines))
            self._rotate()
        except OSError as error:  # what is written stays written, and is not written again
            self._refused([each for each in batch if each[1] is not None], error)
            return
        self.failing = ""
        _tell(batch)

    def _write(self, lines: list[bytes]) -> None:
        """All of them or, where the disk refuses, none."""
        data = b"".join(lines)
        if not data:
            return
        size = self._stream.seek(0, os.SEEK_END)
        try:
            written = self._stream.write(data)
            if written != len(data):
                raise OSError("the disk took only a part of it")
        except OSError:
            with suppress(OSError):
                self._stream.truncate(size)
            raise
        self._dirty = True

    def _settle_head(self, *, force: bool) -> None:
        """Make the lines last, and say so in the head: at once, or once a second."""
        due = time.monotonic() - self._synced >= AGAIN
        if not self._dirty or not (force or due):
            return
        if self._sync != "never":
            os.fsync(self._stream.fileno())
        write_head(self._folder, self._chain)
        self._dirty = False
        self._synced = time.monotonic()

    def _refused(self, batch: list[tuple[Make, Future[None] | None]], error: OSError) -> None:
        if not self.failing:
            log.error("the audit log in %s cannot be written: %s", self._folder, error)
        self.failing = error.strerror or str(error)
        kept = [(make, None) for make, done in batch if done is None]
        for _, done in batch:
            _fail(done, error)
        with self._wake:
            self._queue.extendleft(reversed(kept))
            if self._closing:
                self.lost += len(self._queue)
                self._queue.clear()
                return
        time.sleep(AGAIN)

    def _rotate(self) -> None:
        size, age = self._stream.tell(), time.time() - self._began
        if size < self._rotation.most_bytes and age < self._rotation.most_seconds:
            return
        self._settle_head(force=True)
        self._stream.close()
        self._number += 1
        self._stream = open(path_of(self._folder, self._number), "ab", buffering=0, opener=_private)  # noqa: SIM115
        self._began = time.time()
        sync_folder(self._folder)
        self._retire()

    def _retire(self) -> None:
        """Remove the oldest files, and record up to where, so that their absence is no fault."""
        files = numbered(self._folder)
        old = files[: -self._rotation.keep] if self._rotation.keep else []
        if not old:
            return
        end = Chain()
        for _, path in old:
            _resume(end, path)
        record = {"at": now(), "what": "retired", "through": end.number, "hash_of_it": end.before}
        self._write([self._chain.line(record)])
        self._settle_head(force=True)
        for _, path in old:
            path.unlink()

    def _end(self) -> None:
        with suppress(OSError):
            self._write([self._chain.line({"at": now(), "what": "closed"})])
            self._settle_head(force=True)
        self._stream.close()


def _tell(batch: list[tuple[Make, Future[None] | None]]) -> None:
    for _, done in batch:
        if done is not None and not done.done():
            with suppress(InvalidStateError):  # whoever waited has just left
                done.set_result(None)


def _fail(done: Future[None] | None, error: OSError) -> None:
    if done is not None and not done.done():
        with suppress(InvalidStateError):
            done.set_exception(error)


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _resume(chain: Chain, path: Path) -> bytes:
    """Set `chain` to the last whole line of `path`; what is torn behind it is cut off and returned."""
    last, torn, end = b"", b"", 0
    with path.open("rb") as stream:
        for line in stream:
            if line.endswith(b"\n"):
                last, end = line, end + len(line)
            else:
                torn = line
    if torn:
        os.truncate(path, end)
    with suppress(Torn):
        if last:
            said = decoded(last)
            chain.number, chain.before = int(said["n"]), str(said["hash"])
    return torn
