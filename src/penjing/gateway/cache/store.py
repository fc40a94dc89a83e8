"""Kept answers on disk: a SQLite file, bounded in bytes and age, and the newest of them in memory.

What is looked up is known to be there or not without touching the disk; reading and writing happen in a thread of its
own, so the event loop never waits. The file survives a killed process (a write-ahead log); one that is damaged is set
aside and a new one begun: answers can be computed again.

Does not know: what the answers are.
"""

from __future__ import annotations

import asyncio
import logging
import os
import sqlite3
import time
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

log = logging.getLogger(__name__)

HOT_BYTES = 32 << 20
"""Of answers that are kept in memory besides."""
TOUCHES = 256
"""Uses that are noted in memory before they reach the disk: they only decide what goes first when it is full."""
SHRUNK = 0.9
"""Of the allowed size, to which a store that is over it is cut."""
SCHEMA = """
CREATE TABLE IF NOT EXISTS answer (
    name BLOB PRIMARY KEY, created REAL NOT NULL, used REAL NOT NULL, size INTEGER NOT NULL, body BLOB NOT NULL
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS by_use ON answer (used);
"""


class Store:
    """At most `most_bytes` of answers, none older than `most_seconds`. `clock` tells seconds since the epoch."""

    def __init__(
        self, path: Path, most_bytes: int, most_seconds: float, clock: Callable[[], float] = time.time
    ) -> None:
        self._path = path
        self._most_bytes = most_bytes
        self._most_seconds = most_seconds
        self._clock = clock
        self._created: dict[bytes, float] = {}
        self._hot: OrderedDict[bytes, bytes] = OrderedDict()
        self._hot_bytes = 0
        self._touched: dict[bytes, float] = {}
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="penjing-cache")
        self._base = self._thread.submit(self._open).result()

    # the event loop's side

    def __len__(self) -> int:
        return len(self._created)

    async def get(self, name: bytes) -> bytes | None:
        """The answer, if there is one that is not too old."""
        created = self._created.get(name)
        if created is None or self._clock() - created > self._most_seconds:
            return None
        body = self._hot.get(name)
        if body is None:
            body = await asyncio.get_running_loop().run_in_executor(self._thread, self._read, name)
            if body is None:
                self._created.pop(name, None)
                return None
            self._heat(name, body)
        self._hot.move_to_end(name)
        self._touched[name] = self._clock()
        if len(self._touched) >= TOUCHES:
            touched, self._touched = self._touched, {}
            self._thread.submit(self._touch, touched)
        return body

    def put(self, name: bytes, make: Callable[[], bytes | None]) -> None:
        """Keep what `make` returns; it is called in the store's thread. Returns at once."""
        loop = asyncio.get_running_loop()

        def work() -> None:
            body = make()
            if body is not None and self._write(name, body):
                with suppress(RuntimeError):  # the loop is gone: so are its readers
                    loop.call_soon_threadsafe(self._known, name, body)

        self._thread.submit(work)

    def _known(self, name: bytes, body: bytes) -> None:
        self._created[name] = self._clock()
        self._heat(name, body)

    def _heat(self, name: bytes, body: bytes) -> None:
        self._hot_bytes += len(body) - len(self._hot.pop(name, b""))
        self._hot[name] = body
        while self._hot_bytes > HOT_BYTES and self._hot:
            self._hot_bytes -= len(self._hot.popitem(last=False)[1])

    def settle(self) -> None:
        """Wait until everything is on disk."""
        self._thread.submit(lambda: None).result()

    def close(self) -> None:
        """Write what is noted and let go of the file."""
        self._thread.submit(self._touch, self._touched)
        self._thread.submit(self._base.close)
        self._thread.shutdown()

    # the thread's side

    def _open(self) -> sqlite3.Connection:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        try:
            return self._connect()
        except sqlite3.DatabaseError as error:
            aside = self._path.with_name(f"{self._path.name}.damaged")
            log.warning("the cache %s is damaged (%s) and set aside as %s", self._path, error, aside.name)
            self._path.replace(aside)
            for suffix in ("-wal", "-shm"):
                self._path.with_name(self._path.name + suffix).unlink(missing_ok=True)
            return self._connect()

    def _connect(self) -> sqlite3.Connection:
        os.close(os.open(self._path, os.O_CREAT | os.O_RDWR, 0o600))  # answers are nobody else's to read
        base = sqlite3.connect(self._path, isolation_level=None, check_same_thread=False)
        try:
            base.execute("PRAGMA journal_mode = WAL")
            base.execute("PRAGMA synchronous = NORMAL")
            base.executescript(SCHEMA)
            if base.execute("PRAGMA quick_check(1)").fetchone() != ("ok",):
                raise sqlite3.DatabaseError("its pages do not agree")
            base.execute("DELETE FROM answer WHERE created < ?", (self._clock() - self._most_seconds,))
            self._created = dict(base.execute("SELECT name, created FROM answer"))
            (self._size,) = base.execute("SELECT COALESCE(SUM(size), 0) FROM answer").fetchone()
        except BaseException:
            base.close()
            raise
        return base

    def _read(self, name: bytes) -> bytes | None:
        try:
            found = self._base.execute("SELECT body FROM answer WHERE name = ?", (name,)).fetchone()
        except sqlite3.Error as error:
            log.warning("the cache cannot be read: %s", error)
            return None
        return found[0] if found else None

    def _write(self, name: bytes, body: bytes) -> bool:
        """Whether it was kept. A full disk costs the answer's place in the cache, nothing else."""
        if len(body) > self._most_bytes:
            return False
        now = self._clock()
        try:
            found = self._base.execute("SELECT size FROM answer WHERE name = ?", (name,)).fetchone()
            row = (name, now, now, len(body), body)
            self._base.execute("INSERT OR REPLACE INTO answer VALUES (?, ?, ?, ?, ?)", row)
            self._size += len(body) - (found[0] if found else 0)
            if self._size > self._most_bytes:
                self._shrink()
        except sqlite3.Error as error:
            log.warning("an answer could not be kept: %s", error)
            return False
        return True

    def _shrink(self) -> None:
        """Forget what is too old, then what was not used for longest."""
        self._base.execute("DELETE FROM answer WHERE created < ?", (self._clock() - self._most_seconds,))
        (self._size,) = self._base.execute("SELECT COALESCE(SUM(size), 0) FROM answer").fetchone()
        target = self._most_bytes * SHRUNK
        for name, size in self._base.execute("SELECT name, size FROM answer ORDER BY used").fetchall():
            if self._size <= target:
                break
            self._base.execute("DELETE FROM answer WHERE name = ?", (name,))
            self._size -= size

    def _touch(self, touched: dict[bytes, float]) -> None:
        with suppress(sqlite3.Error):
            rows = [(when, name) for name, when in touched.items()]
            self._base.executemany("UPDATE answer SET used = ? WHERE name = ?", rows)
