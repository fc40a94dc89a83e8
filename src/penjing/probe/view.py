"""Bounded reading of a little-endian header: every count and length is checked against what the file still holds.

Does not know: any format.
"""

from __future__ import annotations

import mmap
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from penjing.probe.faults import CannotOpen, DamagedHeader, EmptyFile, HeaderCut


class View:
    """A cursor over the bytes of a file. Methods raise HeaderCut where the file ends too early."""

    def __init__(self, path: Path, content: mmap.mmap | bytes) -> None:
        self.path = path
        self.content = content
        self.size = len(content)
        self.at = 0

    @property
    def left(self) -> int:
        """Bytes from the cursor to the end."""
        return self.size - self.at

    def need(self, count: int, part: str) -> None:
        """Raises HeaderCut unless `count` bytes are left; `part` says what they are."""
        if count > self.left:
            wanted = self.at + count
            raise HeaderCut(path=str(self.path), size=self.size, wanted=wanted, missing=wanted - self.size, part=part)

    def number(self, code: str, part: str) -> int | float | bool:
        """One number by its `struct` code, little-endian."""
        width = struct.calcsize("<" + code)
        self.need(width, part)
        (value,) = struct.unpack_from("<" + code, self.content, self.at)
        self.at += width
        return value  # type: ignore[no-any-return]

    def count(self, code: str, part: str, most: int, width: int = 1) -> int:
        """A number of things that take at least `width` bytes each; raises DamagedHeader where it is above `most`,
        HeaderCut where the file cannot hold so many."""
        value = int(self.number(code, part))
        if value > most:
            self.refuse(part, value, f"<= {most}")
        self.need(value * width, part)
        return value

    def raw(self, count: int, part: str) -> bytes:
        """The next `count` bytes."""
        self.need(count, part)
        found = self.content[self.at : self.at + count]
        self.at += count
        return found

    def refuse(self, field: str, value: object, limit: str) -> None:
        """Raises DamagedHeader."""
        raise DamagedHeader(path=str(self.path), field=field, value=value, limit=limit)


@contextmanager
def viewing(path: Path) -> Iterator[View]:
    """A View of a mapped file. Raises CannotOpen, EmptyFile."""
    try:
        stream = path.open("rb")
    except OSError as error:
        raise CannotOpen(path=str(path), detail=error.strerror) from error
    with stream:
        if path.stat().st_size == 0:
            raise EmptyFile(path=str(path))
        with mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as content:
            yield View(path, content)
