"""SHA-256 of files, remembered while a file stays as it is: `PENJING_HOME/trust/digests.json`.

A file counts as unchanged while its size, its times of change (of content and of inode) and its inode are the same, so
that loading a model of 40 GB costs one `stat`. Who can write to the disk as root can forge all that; reading the file
again (`known=False`) finds it.

Does not know: what a digest is compared with.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import msgspec

from penjing.files import home, write_whole
from penjing.lock import held
from penjing.probe.faults import CannotOpen

BLOCK = 4 << 20
MOST = 4096
"""Files remembered; beyond, those are forgotten that are gone, then the oldest."""


class Remembered(msgspec.Struct, frozen=True, array_like=True):
    """`stamp`: see `stamp`. `sha256` in hex."""

    stamp: tuple[int, int, int, int]
    sha256: str


def digest(path: Path, tell: Callable[[int], None] | None = None, *, known: bool = True) -> str:
    """SHA-256 of `path` in hex; with `known` what is remembered of it where nothing changed. `tell` is called with the
    bytes read so far, and cancels by raising. Raises CannotOpen."""
    try:
        whole, before = str(path.resolve()), stamp(path)
        if known and (found := recall(path)):
            return found
        sha, read = hashlib.sha256(), 0
        with path.open("rb") as stream:
            while block := stream.read(BLOCK):
                sha.update(block)
                read += len(block)
                if tell is not None:
                    tell(read)
        after = stamp(path)
    except OSError as error:
        raise CannotOpen(path=str(path), detail=error.strerror or str(error)) from error
    if before == after:  # else it is being written, and what was read is no file
        remember(Path(whole), sha.hexdigest())
    return sha.hexdigest()


def recall(path: Path) -> str:
    """What is remembered of `path`; "" where nothing is or it changed since. Raises OSError where it is gone."""
    found = _load().get(str(path.resolve()))
    return found.sha256 if found is not None and found.stamp == stamp(path) else ""


def remember(path: Path, sha256: str) -> None:
    """Note the digest of a file that was just read or written by somebody who computed it. A home that cannot be
    written only means that it is computed again."""
    try:
        with held(_place().with_suffix(".lock")):
            known = _load()
            known.pop(str(path.resolve()), None)
            known[str(path.resolve())] = Remembered(stamp(path), sha256)
            if len(known) > MOST:
                there = [each for each in known if Path(each).exists()][-MOST:]
                known = {each: known[each] for each in there}
            write_whole(_place(), msgspec.json.encode(known))
    except OSError:
        return


def stamp(path: Path) -> tuple[int, int, int, int]:
    """Size in bytes, times of change of content and inode in ns, inode. Raises OSError."""
    facts = path.stat()
    return facts.st_size, facts.st_mtime_ns, facts.st_ctime_ns, facts.st_ino


def _place() -> Path:
    return home() / "trust" / "digests.json"


def _load() -> dict[str, Remembered]:
    try:
        return msgspec.json.decode(_place().read_bytes(), type=dict[str, Remembered])
    except (OSError, msgspec.DecodeError, UnicodeDecodeError):  # nothing, or nothing of use: it is computed again
        return {}
