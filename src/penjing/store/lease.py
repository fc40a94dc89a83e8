"""Who uses a file: a shared lock on the file itself, which the system drops when its holder dies, however it dies.

An engine holds a lease for as long as it may map the file; `gc` and `rm` leave alone what is leased, and (Linux) what
any process maps without one.

Does not know: engines, the store.
"""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from penjing.probe.faults import CannotOpen

PROCESSES = Path("/proc")


class Lease:
    """Held from `Lease(path)` until `end()`. Raises CannotOpen where the file is not there, or went away meanwhile."""

    def __init__(self, path: Path) -> None:
        try:
            self._descriptor = os.open(path, os.O_RDONLY)
            with suppress(OSError):  # a disk without locks: there only what is mapped can be seen
                _share(self._descriptor)
            if not os.path.samestat(os.fstat(self._descriptor), path.stat()):
                raise FileNotFoundError(2, "it was removed this moment")
        except OSError as error:
            self.end()
            raise CannotOpen(path=str(path), detail=error.strerror or str(error)) from error

    def end(self) -> None:
        """Give it back; a second time does nothing."""
        descriptor, self._descriptor = getattr(self, "_descriptor", -1), -1
        if descriptor >= 0:
            os.close(descriptor)


@contextmanager
def alone(path: Path) -> Iterator[bool]:
    """Whether nobody has a lease of `path`; if so nobody gets one within the block. A file that is not there is
    nobody's."""
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        yield True
        return
    try:
        yield _take(descriptor)
    finally:
        os.close(descriptor)


def mapped(paths: Iterable[Path]) -> dict[Path, list[int]]:
    """Which of `paths` processes have in their memory, and their ids; empty where the system does not tell (only Linux
    does, and of other people's processes only to root)."""
    wanted = {}
    for path in paths:
        if path.exists():
            wanted[path.stat().st_ino] = path
    found: dict[Path, list[int]] = {}
    if not wanted or not (PROCESSES / "self" / "maps").exists():
        return found
    for folder in PROCESSES.iterdir():
        if folder.name.isdigit():
            for path in {
                wanted[inode] for inode, name in _maps(folder) if inode in wanted and _same(wanted[inode], name)
            }:
                found.setdefault(path, []).append(int(folder.name))
    return found


def _maps(process: Path) -> Iterator[tuple[int, str]]:
    """Inode and name of each file the process maps (proc_pid_maps(5))."""
    try:
        lines = (process / "maps").read_bytes().splitlines()
    except OSError:  # ended, or not ours to see
        return
    for line in lines:
        parts = line.split(None, 5)
        if len(parts) == 6 and parts[4] != b"0":
            yield int(parts[4]), os.fsdecode(parts[5])


def _same(path: Path, name: str) -> bool:
    """Inode numbers repeat on other disks; names of hard links differ."""
    try:
        return path.samefile(name)
    except OSError:
        return False


if sys.platform == "win32":

    def _share(descriptor: int) -> None:
        """An open file cannot be removed there."""

    def _take(descriptor: int) -> bool:
        return True

else:
    import fcntl

    def _share(descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_SH)

    def _take(descriptor: int) -> bool:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            return error.errno not in (errno.EWOULDBLOCK, errno.EAGAIN)  # else a disk without locks
        return True
