"""Aligned columns on stdout, in any language, without colour codes that a pipe would have to strip."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Sequence

from penjing.cli import talk
from penjing.cli.layout import columns, wrap

GAP = 2
NARROWEST_LAST = 20


def print_rows(rows: Sequence[Sequence[str]]) -> None:
    """Print rows of equal length; the last column is wrapped at the terminal's edge."""
    for line in lines_of(rows, shutil.get_terminal_size((100, 24)).columns if sys.stdout.isatty() else 0):
        talk.data(talk.printable(line))


def lines_of(rows: Sequence[Sequence[str]], width: int) -> list[str]:
    """The rows as lines of at most `width` columns (0: as long as they are)."""
    widths = [max(columns(row[place]) for row in rows) + GAP for place in range(len(rows[0]) - 1)] if rows else []
    margin = sum(widths) + GAP
    last = max(width - margin, NARROWEST_LAST) if width else 1 << 30
    found = []
    for row in rows:
        cells = (cell + " " * (wide - columns(cell)) for cell, wide in zip(row, widths, strict=False))
        first, *more = wrap(row[-1], last)
        found.append((" " * GAP + "".join(cells) + first).rstrip())
        found += [" " * margin + line for line in more]
    return found
