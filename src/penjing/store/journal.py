"""Which bytes of some files have arrived: a text file that is only ever appended to.

Its first line says of which files it speaks; each other line is one span, written after the bytes were. A line that was
cut by a crash is ignored, so what it says is never more than what is there (the digests are checked in the end).

Does not know: where bytes come from.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

Span = tuple[int, int]
"""First byte, byte after the last."""


class Journal:
    """That of the files `subject` speaks of (any text in one line), at `path`. Of another subject, or unreadable, it is
    begun anew: `fresh` says so. A context manager."""

    def __init__(self, path: Path, subject: str) -> None:
        self._spans: dict[int, list[Span]] = {}
        self.fresh = not self._load(path, subject)
        self._stream = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | (os.O_TRUNC if self.fresh else 0), 0o644)
        # A line that was cut must not run into the next one.
        os.write(self._stream, f"{subject}\n".encode() if self.fresh else b"\n")

    def __enter__(self) -> Journal:
        return self

    def __exit__(self, *error: object) -> None:
        os.close(self._stream)

    def done(self, file: int) -> list[Span]:
        """What of `file` has arrived: spans in order, none touching another."""
        return list(self._spans.get(file, ()))

    def add(self, file: int, start: int, stop: int) -> None:
        """`file` has these bytes."""
        if stop > start:
            self._spans[file] = merged([*self._spans.get(file, ()), (start, stop)])
            os.write(self._stream, f"{file} {start} {stop}\n".encode())

    def forget(self, file: int) -> None:
        """Of `file` nothing has arrived after all."""
        self._spans.pop(file, None)
        os.write(self._stream, f"{file} -\n".encode())

    def _load(self, path: Path, subject: str) -> bool:
        try:
            first, *lines = path.read_text(encoding="utf-8").split("\n")
        except (OSError, UnicodeDecodeError):
            return False
        if first != subject:
            return False
        for line in lines[:-1]:  # what follows the last line's end was cut
            words = line.split(" ")
            if len(words) == 2 and words[0].isdecimal() and words[1] == "-":
                self._spans.pop(int(words[0]), None)
            elif len(words) == 3 and all(word.isdecimal() for word in words):
                file, start, stop = map(int, words)
                if stop > start:
                    self._spans[file] = merged([*self._spans.get(file, ()), (start, stop)])
        return True


def merged(spans: Sequence[Span]) -> list[Span]:
    """In order, and joined where they touch.

    >>> merged([(5, 9), (0, 3), (3, 4)])
    [(0, 4), (5, 9)]
    """
    found: list[Span] = []
    for start, stop in sorted(spans):
        if found and start <= found[-1][1]:
            found[-1] = (found[-1][0], max(stop, found[-1][1]))
        else:
            found.append((start, stop))
    return found


def missing(spans: Sequence[Span], size: int) -> list[Span]:
    """What of `size` bytes is in none of the `spans` (in order, not touching).

    >>> missing([(0, 4), (5, 9)], 12)
    [(4, 5), (9, 12)]
    """
    edges = [0, *(edge for span in spans for edge in span), size]
    return [(start, stop) for start, stop in zip(edges[::2], edges[1::2], strict=True) if start < stop]
