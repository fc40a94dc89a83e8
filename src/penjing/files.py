"""Files that are written whole or not at all, and where penjing keeps its own.

Does not know: what is in a file.
"""

from __future__ import annotations

import errno
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from penjing.errors import DiskFull, InputError

NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}  # the last is a FAT disk and a file of 4 GB
UNITS = ("B", "KB", "MB", "GB", "TB")


class NoSuchUser(InputError):
    """A path begins with `~NAME` and nobody here is called so. Facts: `path`."""

    template = "{path}: this machine has no user of that name."
    hint = "Begin the path with ./ or /, or with ~/ for your own folder."
    code = "no_such_user"


def expanded(path: str | Path) -> Path:
    """`path` with a leading `~` or `~NAME` replaced by that home folder. Raises NoSuchUser."""
    try:
        return Path(path).expanduser()
    except RuntimeError as error:
        raise NoSuchUser(path=str(path)) from error


def home() -> Path:
    """The folder of everything penjing keeps: PENJING_HOME, else the platform's data directory."""
    given = os.environ.get("PENJING_HOME", "")
    if given:
        return expanded(given)
    from platformdirs import user_data_path

    return user_data_path("penjing", appauthor=False)


def human(size: float) -> str:
    """A size in bytes for people, in powers of 1000: `human(1_500_000) == '1.5 MB'`."""
    for unit in UNITS:
        if abs(size) < 1000 or unit == UNITS[-1]:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1000
    return ""


def held(folder: Path) -> int:
    """Bytes of the files in `folder`, 0 where it is not there."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def require_room(folder: Path, needed: int) -> None:
    """Raises DiskFull if the disk of `folder` (or of its nearest existing parent) has less than `needed` bytes free."""
    existing = folder
    while not existing.exists():
        existing = existing.parent
    free = shutil.disk_usage(existing).free
    if free < needed:
        raise DiskFull(path=str(folder), needed=human(needed), free=human(free))


@contextmanager
def filling(folder: Path, size: int) -> Iterator[None]:
    """Around what writes a file of `size` bytes into `folder`: no room for it is DiskFull, before and halfway."""
    require_room(folder, size)
    try:
        yield
    except OSError as error:
        if error.errno in NO_ROOM:
            free = shutil.disk_usage(folder).free
            raise DiskFull(path=str(folder), needed=human(size), free=human(free)) from error
        raise


@contextmanager
def writing(path: Path, private: bool = False, size: int = 0) -> Iterator[BinaryIO]:
    """A binary stream whose content becomes `path` when the block ends, and leaves no trace when it fails. Only its
    owner may read a `private` file. `size`: bytes it will have, told where there is no room; 0 where nobody knows.

    Raises DiskFull where the disk is. The data reaches the disk before the name does (fsync, rename, fsync of the
    folder), so that after a power cut there is the old file or the new one.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
    try:
        with open(temporary, "xb", opener=_private if private else None) as stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        temporary.replace(path)
    except OSError as error:
        if error.errno in NO_ROOM:
            written, free = temporary.stat().st_size, shutil.disk_usage(path.parent).free
            needed = human(size) if size else f"> {human(written)}"
            raise DiskFull(path=str(path.parent), needed=needed, free=human(free)) from error
        raise
    finally:
        temporary.unlink(missing_ok=True)
    sync_folder(path.parent)


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def sync_folder(folder: Path) -> None:
    """Make a rename in `folder` last through a power cut; a no-op where folders cannot be opened (Windows)."""
    if os.name == "nt":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_whole(path: Path, content: bytes, private: bool = False) -> Path:
    """Write a small file whole or not at all; returns `path`. Only its owner may read a `private` one."""
    with writing(path, private, len(content)) as stream:
        stream.write(content)
    return path
