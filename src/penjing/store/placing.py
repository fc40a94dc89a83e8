"""A file gets a second place on disk without its bytes being written again, where the disk can do that.

Does not know: models.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Literal

from penjing.errors import DiskFull
from penjing.files import NO_ROOM, human, require_room
from penjing.store.sharing import share_all
from penjing.store.staging import protect

Taking = Literal["link", "move", "copy", "refer"]
"""How the store takes a file: `link`: a hard link, or a copy from another disk; `move`: the same, and the source is
removed when it is safe; `copy`: its own bytes (shared by the file system where it can); `refer`: a symbolic link, for
files on another disk that stay where they are."""
COPY = 1 << 20


def place(source: Path, target: Path, taking: Taking) -> None:
    """Put `source` at `target`, in a folder that may not be there yet. Raises DiskFull."""
    target.parent.mkdir(parents=True, exist_ok=True)
    real = source.resolve()
    if taking == "refer":
        target.symlink_to(real)
    elif taking == "copy" or not _linked(real, target):
        copy(real, target)
        protect(target)


def _linked(source: Path, target: Path) -> bool:
    try:
        target.hardlink_to(source)
    except OSError:  # another disk, or one without links, or somebody else's file
        return False
    return True


def copy(source: Path, target: Path) -> None:
    """A copy that shares the source's blocks where the file system can. Raises DiskFull."""
    size = source.stat().st_size
    with source.open("rb", buffering=0) as reading, target.open("xb", buffering=0) as writing:
        if share_all(reading.fileno(), writing.fileno()):
            return
        require_room(target.parent, size)
        try:
            shutil.copyfileobj(reading, writing, COPY)
        except OSError as error:
            if error.errno not in NO_ROOM:
                raise
            free = shutil.disk_usage(target.parent).free
            raise DiskFull(path=str(target.parent), needed=human(size), free=human(free)) from error
