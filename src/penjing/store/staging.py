"""Folders in which something is made ready before it takes its place by one rename.

Each is locked by who fills it; what dead ones left is swept. On the disk of the store, so that renames and hard links
work.

Does not know: what is made ready.
"""

from __future__ import annotations

import os
import secrets
import shutil
import stat
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

from penjing.files import sync_folder
from penjing.lock import held, held_now

LOCK = ".lock"
KEPT = "kept-"
"""How the names of folders begin that outlive a failure, for who comes next to go on with."""
GONE = "gone-"
"""How the names of what was removed begin, until it is."""
LONG = 7 * 86400.0
"""Seconds after which nobody is expected to go on."""


@contextmanager
def staged(root: Path, kept: str = "") -> Iterator[Path]:
    """A folder of one's own under `root`, removed when the block ends, if it is still there. With `kept` it is that of
    a certain task: waited for while another process has it, and left as it is when the block fails."""
    folder = root / (KEPT + kept if kept else secrets.token_hex(8))
    lock = root / (folder.name + LOCK)
    with held(lock):
        folder.mkdir(parents=True, exist_ok=True)
        try:
            yield folder
        except BaseException:
            if not kept:
                discard(folder)
                lock.unlink(missing_ok=True)
            raise
        discard(folder)
        if not kept:  # another process may be waiting for the lock of a task
            lock.unlink(missing_ok=True)


def sweep(root: Path, patience: float = LONG) -> None:
    """Remove what nobody fills any more, and after `patience` seconds what was left to go on with."""
    if not root.is_dir():
        return
    for folder in [path for path in root.iterdir() if path.suffix != LOCK]:
        lock = root / (folder.name + LOCK)
        waits = folder.name.startswith(KEPT) or not (lock.exists() or folder.name.startswith(GONE))
        with held_now(lock) as free:
            if free and not (waits and _age(folder) < patience):
                discard(folder)
        _unlink_free(lock)
    for lock in root.glob("*" + LOCK):
        if not (root / lock.name.removesuffix(LOCK)).exists():
            _unlink_free(lock)


def retire(root: Path, path: Path) -> None:
    """Take `path` (on the same disk) out of its place by one rename, then remove it."""
    root.mkdir(parents=True, exist_ok=True)
    leaving = root / (GONE + secrets.token_hex(8))
    path.rename(leaving)
    sync_folder(path.parent)
    discard(leaving)


def _unlink_free(lock: Path) -> None:
    if lock.name.startswith(KEPT):
        return
    with held_now(lock) as free:
        if free:
            lock.unlink(missing_ok=True)


def _age(path: Path) -> float:
    try:
        return time.time() - path.stat().st_mtime
    except OSError:  # gone this moment
        return 0.0


def discard(path: Path) -> None:
    """Remove a file, or a folder and all that is in it. What cannot be removed now (in use on Windows) is swept another
    time."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def clear(folder: Path, expected: Collection[str]) -> None:
    """Remove files that are not `expected` (paths within `folder`): a killed process left them half-written."""
    for path in folder.rglob("*"):
        if not path.is_dir() and path.relative_to(folder).as_posix() not in expected:
            path.unlink()


def settle(folder: Path) -> None:
    """Make everything in `folder` last through a power cut."""
    for path in sorted(folder.rglob("*")):
        if path.is_dir() and not path.is_symlink():
            sync_folder(path)
        elif not path.is_symlink():
            sync(path)
    sync_folder(folder)


def sync(path: Path) -> None:
    """Make the content of one file last through a power cut."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def protect(path: Path) -> None:
    """Nobody writes into a file of the store by mistake."""
    path.chmod(stat.S_IRUSR | stat.S_IRGRP | stat.S_IROTH)
