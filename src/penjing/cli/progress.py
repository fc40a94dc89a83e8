"""Shows long work on stderr: a bar on a terminal, a line for each stage elsewhere, nothing with --quiet.

The bar is drawn from the first report on, so that work that is done at once costs no import.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from penjing.cli import talk
from penjing.language import say

if TYPE_CHECKING:
    from rich.progress import Progress as Bar
    from rich.progress import TaskID

    from penjing.progress import Progress, Report

STAGES = {
    "reading": "Reading",
    "converting": "Converting",
    "quantizing": "Quantizing",
    "writing": "Writing",
    "loading": "Loading",
    "warming": "Warming up",
    "waiting": "Waiting for another penjing that does the same",
    "connecting": "Connecting",
    "hashing": "Hashing",
    "fetching": "Fetching",
    "assembling": "Putting it together",
    "packing": "Packing",
    "checking": "Checking",
    "exporting": "Exporting",
    "looking": "Looking what else is running",
    "disk": "Reading from the disk",
    "memory": "Reading from memory",
    "multiplying": "Multiplying matrices",
}


def stage(progress: Progress) -> str:
    """The stage in the reader's language."""
    return say(STAGES.get(progress.stage, progress.stage))


@contextmanager
def shown() -> Iterator[Report]:
    """A `Report` that shows itself until the block ends."""
    if talk.quiet():
        yield lambda progress: None
    elif not sys.stderr.isatty():
        yield Lines()
    else:
        drawn = Drawn()
        try:
            yield drawn
        finally:
            drawn.close()


class Lines:
    """One line for each stage."""

    def __init__(self) -> None:
        self.last = ""

    def __call__(self, progress: Progress) -> None:
        if progress.stage != self.last:
            self.last = progress.stage
            talk.note("{stage} ...", stage=stage(progress))


class Drawn:
    """A bar with the time left."""

    def __init__(self) -> None:
        self.bar: Bar | None = None
        self.task: TaskID | None = None

    def __call__(self, progress: Progress) -> None:
        if self.bar is None or self.task is None:
            self.bar, self.task = self._begin()
        self.bar.update(self.task, completed=progress.fraction, description=stage(progress))

    def _begin(self) -> tuple[Bar, TaskID]:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

        columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
        bar = Progress(*columns, console=Console(stderr=True), transient=True)
        bar.start()
        return bar, bar.add_task("", total=1.0)

    def close(self) -> None:
        """Take the bar away."""
        if self.bar is not None:
            self.bar.stop()
