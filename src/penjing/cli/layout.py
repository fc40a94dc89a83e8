"""Help pages that fit the terminal in both languages: a Chinese character is two columns wide and breaks anywhere."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from unicodedata import east_asian_width

import click

NARROWEST = 40
WIDEST = 100
FIRST_COLUMN = 30
NOT_AT_LINE_START = "，。、；：！？）】》”’%"
WIDE = r"\u2e80-\u9fff\uf900-\ufaff\uff00-\uffef"
PIECE = re.compile(rf"\s+|[{WIDE}]|[^\s{WIDE}]+")


def columns(text: str) -> int:
    """How many columns of a terminal `text` takes."""
    return sum(2 if east_asian_width(letter) in "WF" else 1 for letter in text)


def wrap(text: str, width: int) -> list[str]:
    """`text` in lines of at most `width` columns; a longer word stands alone."""
    lines = [""]
    for piece in PIECE.findall(text):
        fits = columns(lines[-1]) + columns(piece.rstrip()) <= width
        if fits or piece in NOT_AT_LINE_START or not lines[-1]:
            lines[-1] += " " if piece.isspace() else piece
        elif not piece.isspace():
            lines[-1] = lines[-1].rstrip()
            lines.append(piece)
    return [line.rstrip() for line in lines]


class Page(click.HelpFormatter):
    """click's formatter, measured in columns."""

    def __init__(self, indent_increment: int = 2, width: int | None = None, max_width: int | None = None) -> None:
        import shutil

        wide = width or min(shutil.get_terminal_size((80, 24)).columns, max_width or WIDEST)
        super().__init__(indent_increment, max(wide, NARROWEST))

    def write_usage(self, prog: str, args: str = "", prefix: str | None = None) -> None:
        from penjing.language import say

        self.write(f"{say('Usage:')} {prog} {args}".rstrip() + "\n")

    def write_text(self, text: str) -> None:
        margin = " " * self.current_indent
        for number, paragraph in enumerate(text.split("\n\n")):
            self.write("\n" if number else "")
            lines = wrap(" ".join(paragraph.split("\n")), self.width - self.current_indent)
            self.write("".join(f"{margin}{line}\n" for line in lines))

    def write_dl(self, rows: Iterable[tuple[str, str]], col_max: int = FIRST_COLUMN, col_spacing: int = 2) -> None:
        rows = list(rows)
        margin = self.current_indent
        first = min(max((columns(row[0]) for row in rows), default=0), col_max, self.width // 2) + col_spacing
        for name, meaning in rows:
            for line in _definition(name, meaning, first, self.width - margin):
                self.write(" " * margin + line + "\n")


def _definition(name: str, meaning: str, first: int, width: int) -> Iterator[str]:
    lines = wrap(meaning, max(width - first, 10))
    fits = columns(name) <= first - 2
    yield (name + " " * (first - columns(name)) + lines.pop(0)).rstrip() if fits and lines else name
    for line in lines:
        yield " " * first + line
