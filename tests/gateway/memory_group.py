"""A control group with a memory limit, where this system lets tests make one (root, cgroup v1 or v2)."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path("/sys/fs/cgroup")
V1, V2 = ("memory.limit_in_bytes", "memory.usage_in_bytes"), ("memory.max", "memory.current")


@dataclass(frozen=True)
class Group:
    """`under` is a command that runs another one inside."""

    folder: Path
    files: tuple[str, str]

    @property
    def under(self) -> tuple[str, ...]:
        return ("sh", "-c", f'echo $$ > {self.folder}/cgroup.procs && exec "$@"', "sh")

    @property
    def used(self) -> int:
        """Bytes that its processes have in memory, the page cache among them."""
        return int((self.folder / self.files[1]).read_text())

    def limit(self, size: int) -> None:
        """At most `size` bytes from now on."""
        (self.folder / self.files[0]).write_text(str(size))


@contextmanager
def memory_group(size: int) -> Iterator[Group]:
    """A new group of at most `size` bytes; skips the test where none can be made."""
    v1 = (ROOT / "memory" / V1[0]).exists()
    folder = (ROOT / "memory" if v1 else ROOT) / f"penjing-test-{os.getpid()}"
    group = Group(folder, V1 if v1 else V2)
    try:
        folder.mkdir()
        group.limit(size)
    except OSError as error:
        with suppress(OSError):
            folder.rmdir()
        pytest.skip(f"no control group with a memory limit can be made here: {error}")
    try:
        yield group
    finally:
        for _ in range(100):  # it is busy until the kernel has buried its last process
            try:
                folder.rmdir()
                break
            except OSError:
                time.sleep(0.05)
