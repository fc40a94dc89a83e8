"""What a model is worth, as rows for people and as a Markdown table.

Does not know: how anything was measured.
"""

from __future__ import annotations

from penjing.cli import talk
from penjing.cli.table import print_rows
from penjing.language import say
from penjing.shrink.evaluate.quality import Quality
from penjing.shrink.evaluate.sheet import cells, heads, remarks, rows


def table(quality: Quality) -> list[tuple[str, ...]]:
    """The heads and the rows, in the reader's language."""
    head = tuple(each.words() for each in heads(quality))
    return [head, *((row.name.words(), *cells(row, quality)) for row in rows(quality))]


def title(quality: Quality) -> str:
    """What is compared with what."""
    if not quality.parent:
        return quality.model
    return say("{model} against {parent}", model=quality.model, parent=quality.parent)


def show(quality: Quality) -> None:
    """Print for people."""
    talk.data(talk.printable(title(quality)))
    print_rows(table(quality))
    for each in remarks(quality):
        talk.data(talk.printable(each.words()))


def markdown(quality: Quality) -> str:
    """A table to paste."""
    head, *body = [[cell.replace("|", "\\|") for cell in row] for row in table(quality)]
    lines = ["| " + " | ".join(row) + " |" for row in (head, ["---", *["--:"] * (len(head) - 1)], *body)]
    under = [each.words() + "  " for each in remarks(quality)]
    return "\n".join([f"**{title(quality)}**", "", *lines, "", *under]) + "\n"
