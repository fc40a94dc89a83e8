"""Shows an answer while it grows: Markdown, drawn in place, Chinese two columns wide.

Blocks of Markdown that are complete are printed for good; only the last one is drawn again and again, and of that
only as much as fits the window. So a long answer neither flickers nor is printed twice.

Does not know: where the text comes from.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from markdown_it import MarkdownIt
from rich.console import Console, ConsoleOptions, Group, RenderResult
from rich.live import Live
from rich.markdown import Markdown
from rich.segment import Segment
from rich.text import Text

from penjing.cli.talk import printable
from penjing.language import say

if TYPE_CHECKING:
    from rich.console import RenderableType

BETWEEN_FRAMES = 0.06  # seconds
ROOM_BELOW = 2  # rows


class Bottom:
    """The last rows of something too tall for the window."""

    def __init__(self, inner: RenderableType) -> None:
        self.inner = inner

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        lines = console.render_lines(self.inner, options.update(height=None), pad=False)
        for line in lines[-max(console.height - ROOM_BELOW, 1) :]:
            yield from line
            yield Segment.line()


class Block:
    """Something without the blank lines around it: how far apart blocks stand is decided in one place."""

    def __init__(self, inner: RenderableType) -> None:
        self.inner = inner

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        lines = console.render_lines(self.inner, options.update(height=None), pad=False)
        full = [number for number, line in enumerate(lines) if any(piece.text.strip() for piece in line)]
        for line in lines[full[0] : full[-1] + 1] if full else ():
            yield from line
            yield Segment.line()


def settled(text: str) -> int:
    """How many characters at the start of `text` are blocks that what follows can no longer change.

    Only whole lines count: a lone `1` may become `1.` and belong to the list above it.
    """
    text = text[: text.rfind("\n") + 1]
    blocks = [token.map[0] for token in MarkdownIt().enable("table").parse(text) if token.level == 0 and token.map]
    if len(set(blocks)) < 2:
        return 0
    lines = text.split("\n")  # not splitlines: Markdown knows fewer kinds of line ends
    return sum(len(line) + 1 for line in lines[: max(blocks)])


class Screen:
    """One answer as Markdown: a context manager that is fed pieces and always leaves a clean line behind."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self.live = Live(console=console, auto_refresh=False, transient=True, vertical_overflow="visible")
        self.thoughts = ""
        self.pending = ""
        self.printed = False
        self.timer: asyncio.TimerHandle | None = None

    def __enter__(self) -> Screen:
        self.live.start()
        self.live.update(Text(say("thinking ..."), style="dim"), refresh=True)
        return self

    def __exit__(self, *_: object) -> None:
        if self.timer:
            self.timer.cancel()
        self.live.update(Text(""))
        self.live.stop()
        self._print_thoughts()
        if self.pending.strip():
            self._print(self.pending)
        self.pending = ""

    def feed(self, text: str, reasoning: str = "") -> None:
        """More of the answer, shown within the next frame."""
        self.thoughts += printable(reasoning)
        self.pending += printable(text)
        if self.timer is None:
            self.timer = asyncio.get_running_loop().call_later(BETWEEN_FRAMES, self._frame)

    def _frame(self) -> None:
        self.timer = None
        done = settled(self.pending)
        ready, self.pending = self.pending[:done], self.pending[done:]
        if self.pending.strip() or ready:
            above = self.printed or bool(self.thoughts or ready)
            self.live.update(Bottom(self._block(self.pending, above)))  # first, so that no frame shows a block twice
            self._print_thoughts()
        elif self.thoughts:
            self.live.update(Bottom(Text(self.thoughts.strip(), style="dim italic")))
        if ready.strip():
            self._print(ready)
        self.live.refresh()

    def _print_thoughts(self) -> None:
        if self.thoughts.strip():
            self.console.print(Text(self.thoughts.strip(), style="dim italic"))
            self.printed = True
        self.thoughts = ""

    def _print(self, text: str) -> None:
        self.console.print(self._block(text, self.printed))
        self.printed = True

    def _block(self, text: str, above: bool) -> RenderableType:
        """Markdown with a blank line before it where there is something `above`."""
        block = Block(Markdown(text))
        return Group(Text(""), block) if above else block


class Plain:
    """One answer as it comes, Markdown signs and all."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self.thinking = False
        self.column_zero = True

    def __enter__(self) -> Plain:
        return self

    def __exit__(self, *_: object) -> None:
        if not self.column_zero:
            self.console.out("")

    def feed(self, text: str, reasoning: str = "") -> None:
        """More of the answer, shown at once."""
        if reasoning:
            self._out(printable(reasoning), style="dim italic")
            self.thinking = True
        if text:
            if self.thinking:
                self._out("\n\n")
                self.thinking = False
            self._out(printable(text))

    def _out(self, text: str, style: str | None = None) -> None:
        self.console.out(text, style=style, end="", highlight=False)
        self.column_zero = text.endswith("\n")
