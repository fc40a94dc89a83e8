"""What a running server knows of the keys on disk: looked up by digest, read again when the file changed.

The file is looked at (one `stat`) at most once in LOOK_SECONDS, so a new key works and a revoked one stops working
within that time, and a request costs a look-up in memory. A file that has become unreadable changes nothing: the server
goes on with the keys it knows and says so in its log. In particular it does not open itself to everybody.

Looking up by digest shows nothing in the time it takes: a dictionary compares digests only when their keyed hashes
(SipHash, a fresh key in each process) are equal, and whoever sends keys cannot steer the bits of a SHA-256.

Does not know: requests, limits.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from datetime import datetime, timezone
from pathlib import Path

from penjing.errors import AccessError
from penjing.gateway.keyring.book import KeysFileInvalid, read
from penjing.gateway.keyring.key import Key, utc

log = logging.getLogger(__name__)

LOOK_SECONDS = 1.0
LAST = datetime.max.replace(tzinfo=timezone.utc)


class KeyExpired(AccessError):
    """Told only to who has the key. Facts: `name`, `date`."""

    template = "The API key '{name}' expired on {date}."
    hint = "Ask whoever runs this server for a new one."


class KeyRevoked(AccessError):
    """Told only to who has the key. Facts: `name`."""

    template = "The API key '{name}' was revoked."
    hint = KeyExpired.hint


class Live:
    """The keys in the file at `path`. `clock` is monotonic, in seconds. Raises KeysFileInvalid."""

    def __init__(self, path: Path, clock: Callable[[], float] = time.monotonic) -> None:
        self._path = path
        self._clock = clock
        self._known: dict[bytes, tuple[Key, datetime]] = {}
        self._stamp = self._stat()
        self._take(read(path))
        self._look_again = clock() + LOOK_SECONDS

    def __bool__(self) -> bool:
        """Whether there is, or was, any key: then nobody gets in without one."""
        if self._clock() >= self._look_again:
            self._look()
        return bool(self._known)

    def find(self, digest: bytes) -> Key:
        """The key with that digest. Raises AccessError, KeyExpired, KeyRevoked."""
        if self._clock() >= self._look_again:
            self._look()
        key, until = self._known.get(digest, NOBODY)
        if key is None:
            raise AccessError
        if key.revoked is not None:
            raise KeyRevoked(name=key.name)
        if until is not LAST and until <= utc():
            if key.digest == digest.hex():
                raise KeyExpired(name=key.name, date=until.date())
            raise AccessError  # what the key was before it was changed
        return key

    def _look(self) -> None:
        self._look_again = self._clock() + LOOK_SECONDS
        stamp = self._stat()
        if stamp == self._stamp:
            return
        self._stamp = stamp
        if stamp is None:
            log.error("%s is gone; the API keys known so far stay in force", self._path)
            return
        try:
            self._take(read(self._path))
        except (KeysFileInvalid, OSError) as error:
            log.error("API keys cannot be read, those known so far stay in force: %s", error)

    def _take(self, keys: list[Key]) -> None:
        known: dict[bytes, tuple[Key, datetime]] = {}
        for key in keys:
            end = key.expires or LAST
            for former in key.former:
                known[bytes.fromhex(former.digest)] = key, min(former.until, end)
            known[bytes.fromhex(key.digest)] = key, end
        self._known = known

    def _stat(self) -> tuple[int, int, int] | None:
        try:
            found = self._path.stat()
        except OSError:
            return None
        return found.st_mtime_ns, found.st_size, found.st_ino


NOBODY: tuple[None, datetime] = (None, LAST)
