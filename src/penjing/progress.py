"""How far long work is, told to whoever asked for it.

Does not know: who shows it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Progress:
    """A fraction in [0, 1] and a word for the stage (`reading`, `converting`, `loading`, `warming`)."""

    fraction: float
    stage: str


@dataclass(frozen=True)
class Transfer(Progress):
    """Bytes that go from one place to another: `done` of `total`, of which `before` were there when it began."""

    done: int = 0
    total: int = 0
    before: int = 0


@dataclass(frozen=True)
class Steps(Progress):
    """Training: `done` steps of `total` (0 where a clock ends it), of which `before` were done when it began; `loss` is
    smoothed, `heldout` measured on what is not learned, both in nats a token."""

    done: int = 0
    total: int = 0
    before: int = 0
    loss: float = 0.0
    heldout: float | None = None


@dataclass(frozen=True)
class Journey(Progress):
    """Work of several steps: `fraction` is that of all of them, `about` (an English template) what step `step` of
    `steps` does, `left` the seconds it takes yet; None where nobody can tell."""

    step: int = 0
    steps: int = 0
    about: str = ""
    left: float | None = None


Report = Callable[[Progress], None]
"""Called many times a second; an exception it raises (KeyboardInterrupt included) cancels the work cleanly."""


def silent(progress: Progress) -> None:
    """Nobody asked."""


def span(report: Report, first: float, last: float) -> Report:
    """What hears of a whole, of which `report` hears as a part of another: from the fraction `first` to `last`."""

    def tell(progress: Progress) -> None:
        report(Progress(first + (last - first) * progress.fraction, progress.stage))

    return tell
