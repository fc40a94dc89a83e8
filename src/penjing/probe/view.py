"""Bounded reading of a little-endian header: every count and length is checked against what the file still holds.

Does not know: any format.
"""

from __future__ import annotations

import mmap
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from penjing.probe.faults import CannotOpen, DamagedHeader, EmptyFile, HeaderCut

LENGTH = struct.Struct("<Q")


class Content(Protocol):
    """The bytes of a file: mapped, in memory, or elsewhere (`remote`)."""

    def __len__(self) -> int: ...

    def __getitem__(self, span: slice, /) -> bytes: ...


class View:
    """A cursor over the bytes of a file. Methods raise HeaderCut where the file ends too early."""

    def __init__(self, path: Path, content: Content) -> None:
        self.path = path
        self.content = content
        self.size = len(content)
        self.at = 0

    @property
    def left(self) -> int:
        """Bytes from the cursor to the end."""
        return self.size - self.at

    def need(self, count: int, word: str, name: str = "") -> None:
        """Raises HeaderCut unless `count` bytes are left. `word` says what they are, `name` of which entry."""
        if count > self.left:
            missing = count - self.left
            raise HeaderCut(path=str(self.path), size=self.size, missing=missing, word=word, name=_quoted(name))

    def number(self, code: str, word: str, name: str = "") -> int | float | bool:
        """One number by its `struct` code, little-endian."""
        width = struct.calcsize("<" + code)
        self.need(width, word, name)
        (value,) = struct.unpack("<" + code, self.content[self.at : self.at + width])
        self.at += width
        return value  # type: ignore[no-any-return]

    def count(self, code: str, word: str, most: int, width: int = 1, name: str = "") -> int:
        """A number of things that take at least `width` bytes each; raises DamagedHeader where it is above `most`,
        HeaderCut where the file cannot hold so many."""
        value = int(self.number(code, word, name))
        if value > most:
            self.refuse(word, value, f"<= {most}", name)
        self.need(value * width, word, name)
        return value

    def raw(self, count: int, word: str, name: str = "") -> bytes:
        """The next `count` bytes."""
        self.need(count, word, name)
        found = self.content[self.at : self.at + count]
        self.at += count
        return found

    def skip_texts(self, count: int, name: str, longest: int) -> None:
        """Pass over `count` texts, each after its length (u64); a vocabulary is hundreds of thousands of them."""
        content, size, at = self.content, self.size, self.at
        for _ in range(count):
            if at > size - LENGTH.size:
                break
            at += LENGTH.size + LENGTH.unpack_from(content, at)[0]  # type: ignore[arg-type]  # a buffer: see `remote`
        else:
            if at <= size:
                self.at = at
                return
        if at - size > longest:
            self.refuse("the length of a text", at - size, f"<= {longest}", name)
        raise HeaderCut(path=str(self.path), size=size, missing=max(1, at - size), word="a text", name=_quoted(name))

    def refuse(self, word: str, value: object, wanted: str, name: str = "") -> None:
        """Raises DamagedHeader."""
        raise DamagedHeader(path=str(self.path), word=word, name=_quoted(name), value=value, wanted=wanted)


def _quoted(name: str) -> str:
    return f" '{name}'" if name else ""


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
