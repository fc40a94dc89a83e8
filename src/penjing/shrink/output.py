"""A folder that is written whole or not at all.

Does not know: what is in it.
"""

from __future__ import annotations

import errno
import os
import re
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from penjing.errors import DiskFull, InputError
from penjing.files import NO_ROOM, held, human, sync_folder

NO_SPACE = "os error 28"  # how safetensors' Rust says ENOSPC


class OutputTaken(InputError):
    """Facts: `path`."""

    template = "{path} is there already; nothing was written over it."
    hint = "Choose another --output, or remove that one first."
    code = "output_taken"


def require_free(output: Path) -> None:
    """Raises OutputTaken where `output` is a file, or a folder with something in it."""
    if output.is_symlink() or output.is_file() or (output.is_dir() and any(output.iterdir())):
        raise OutputTaken(path=str(output))


def sweep(output: Path) -> None:
    """Remove what runs for `output` that were killed left beside it, half written. Nobody else may be writing it."""
    pattern = re.compile(rf"\.{re.escape(output.name)}\.[a-z0-9_]{{8}}\.part")  # here, `files.writing`, `tempfile`
    for left in output.parent.iterdir() if output.parent.is_dir() else ():
        if pattern.fullmatch(left.name):
            shutil.rmtree(left) if left.is_dir() else left.unlink()


@contextmanager
def whole_folder(output: Path) -> Iterator[Path]:
    """An empty folder beside `output` that takes its place when the block ends and is removed when it fails. Every
    file is on the disk before the name is. Raises OutputTaken before and after the work, DiskFull."""
    require_free(output)
    output.parent.mkdir(parents=True, exist_ok=True)
    temporary = output.with_name(f".{output.name}.{secrets.token_hex(4)}.part")
    temporary.mkdir()
    try:
        yield temporary
        _settle(temporary)
        temporary.rename(output)
    except Exception as error:
        if full(error):
            free = shutil.disk_usage(output.parent).free
            raise DiskFull(path=str(output.parent), needed=f"> {human(held(temporary))}", free=human(free)) from error
        if isinstance(error, OSError) and error.errno in {errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR}:
            raise OutputTaken(path=str(output)) from error  # another run was faster
        raise
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    sync_folder(output.parent)


def full(error: Exception) -> bool:
    """Whether a disk without room is what went wrong; libraries wrap it in errors of their own."""
    return (isinstance(error, OSError) and error.errno in NO_ROOM) or NO_SPACE in str(error)


def _settle(folder: Path) -> None:
    readers = folder.stat().st_mode & 0o666  # libraries write through temporary files that only the owner may read
    for path in folder.rglob("*"):
        if path.is_file():
            path.chmod(readers)
            with path.open("rb") as stream:
                os.fsync(stream.fileno())
    sync_folder(folder)
