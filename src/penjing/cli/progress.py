"""Shows long work on stderr: a bar on a terminal, a line for each stage elsewhere, nothing with --quiet.

The bar is drawn from the first report on, so that work that is done at once costs no import. Of bytes that go from one
place to another it shows how many, how fast and how long yet; elsewhere each tenth of them is a line.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING

from penjing.cli import talk
from penjing.files import human
from penjing.language import say
from penjing.progress import Journey, Steps, Transfer

if TYPE_CHECKING:
    from rich.progress import Progress as Bar
    from rich.progress import TaskID

    from penjing.progress import Progress, Report

TENTHS = 10

STAGES = {
    "reading": "Reading",
    "converting": "Converting",
    "quantizing": "Quantizing",
    "calibrating": "Reading calibration text",
    "trying types": "Trying types",
    "refining": "Trying whole files",
    "writing": "Writing",
    "loading": "Loading",
    "warming": "Warming up",
    "waiting": "Waiting for another penjing that does the same",
    "connecting": "Connecting",
    "downloading": "Downloading",
    "hashing": "Hashing",
    "fetching": "Fetching",
    "compiling": "Compiling",
    "sending": "Sending",
    "assembling": "Putting it together",
    "packing": "Packing",
    "checking": "Checking",
    "sealing": "Sealing",
    "unsealing": "Decrypting",
    "exporting": "Exporting",
    "looking": "Looking what else is running",
    "disk": "Reading from the disk",
    "memory": "Reading from memory",
    "measuring": "Measuring",
    "multiplying": "Multiplying matrices",
    "profiling": "Timing each operation",
    "evaluating": "Comparing predictions",
    "answering": "Answering questions",
    "training": "Training",
    "learning": "Looking for pieces",
    "weighing": "Weighing the parts",
    "trying shapes": "Trying shapes",
    "asking": "Asking the teacher",
}


def stage(progress: Progress) -> str:
    """The stage in the reader's language; of several steps also which one, and how long all of them take yet."""
    if isinstance(progress, Journey):
        left = timedelta(seconds=round(progress.left)) if progress.left is not None else "?"
        about = say(progress.about)
        return say(
            "{step}/{steps} {about}, {left} left", step=progress.step, steps=progress.steps, about=about, left=left
        )
    name = say(STAGES.get(progress.stage, progress.stage))
    return f"{name}, {learned(progress)}" if isinstance(progress, Steps) and progress.loss else name


def learned(steps: Steps) -> str:
    """How far training is: the step, the loss, that of what is held out where it was measured."""
    done = f"{steps.done}/{steps.total}" if steps.total else str(steps.done)
    if steps.heldout is None:
        return say("step {done}, loss {loss:.3f}", done=done, loss=steps.loss)
    return say(
        "step {done}, loss {loss:.3f}, held out {heldout:.3f}", done=done, loss=steps.loss, heldout=steps.heldout
    )


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
    """One line for each stage, and for each tenth of a transfer or a training."""

    def __init__(self) -> None:
        self.last = ""
        self.tenth = 0
        self.begun = self.first = 0.0

    def __call__(self, progress: Progress) -> None:
        if isinstance(progress, Journey):
            self._journey(progress)
        elif progress.stage != self.last:
            self.last = progress.stage
            self.tenth, self.begun = int(progress.fraction * TENTHS), time.monotonic()
            self.first = progress.fraction
            talk.note("{stage} ...", stage=stage(progress))
        elif isinstance(progress, Transfer) and int(progress.fraction * TENTHS) > self.tenth:
            self.tenth = int(progress.fraction * TENTHS)
            talk.note("{stage}: {amount}", stage=stage(progress), amount=self._amount(progress))
        elif isinstance(progress, Steps) and int(progress.fraction * TENTHS) > self.tenth:
            self.tenth = int(progress.fraction * TENTHS)
            talk.note("{stage}, {left} left", stage=stage(progress), left=self._left(progress))

    def _left(self, progress: Progress) -> timedelta:
        """From the share that was done since this began."""
        done = max(progress.fraction - self.first, 1e-6)
        return timedelta(seconds=round((time.monotonic() - self.begun) * (1 - progress.fraction) / done))

    def _journey(self, journey: Journey) -> None:
        """A line for each step, and for each tenth of the way."""
        tenth = int(journey.fraction * TENTHS)
        if (str(journey.step), tenth) != (self.last, self.tenth):
            self.last, self.tenth = str(journey.step), tenth
            talk.note("{percent:.0f} %: {stage}", percent=journey.fraction * 100, stage=stage(journey))

    def _amount(self, transfer: Transfer) -> str:
        """How much, how fast, how long yet."""
        speed = (transfer.done - transfer.before) / max(time.monotonic() - self.begun, 1e-3)
        left = timedelta(seconds=round((transfer.total - transfer.done) / speed)) if speed else "?"
        return say(
            "{percent:.0f} % of {size}, {speed}/s, {left} left",
            percent=transfer.fraction * 100,
            size=human(transfer.total),
            speed=human(speed),
            left=left,
        )


class Drawn:
    """A bar with the time left; of a transfer also with bytes and speed."""

    def __init__(self) -> None:
        self.bar: Bar | None = None
        self.task: TaskID | None = None
        self.moves = False

    def __call__(self, progress: Progress) -> None:
        if self.bar is None or self.task is None or self.moves is not isinstance(progress, Transfer):
            self.close()
            self.bar, self.task = self._begin(progress)
        done = progress.done if isinstance(progress, Transfer) else progress.fraction
        self.bar.update(self.task, completed=done, description=stage(progress))

    def _begin(self, progress: Progress) -> tuple[Bar, TaskID]:
        from rich import progress as parts
        from rich.console import Console

        columns: list[parts.ProgressColumn] = [parts.TextColumn("{task.description}"), parts.BarColumn()]
        left: list[parts.ProgressColumn] = [] if isinstance(progress, Journey) else [parts.TimeRemainingColumn()]
        self.moves = isinstance(progress, Transfer)
        if self.moves:
            columns += [parts.DownloadColumn(), parts.TransferSpeedColumn()]
        else:
            columns.append(parts.TaskProgressColumn())
        bar = parts.Progress(*columns, *left, console=Console(stderr=True), transient=True)
        bar.start()
        if isinstance(progress, Transfer):  # what was there before says nothing of the speed
            return bar, bar.add_task(stage(progress), total=progress.total, completed=progress.before)
        return bar, bar.add_task(stage(progress), total=1.0)

    def close(self) -> None:
        """Take the bar away."""
        if self.bar is not None:
            self.bar.stop()
