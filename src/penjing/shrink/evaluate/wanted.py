"""What to find out about a model, as a person says it.

Does not know: which model, the command line.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from msgspec import Meta

from penjing.errors import SettingError
from penjing.shrink.texts.windows import CONTEXT

if TYPE_CHECKING:
    from penjing.shrink.evaluate.tasks import Task
    from penjing.shrink.texts.text import Text

NONE, ALL = "none", "all"
WINDOWS = "a number above 0, or all"
USUAL, LEAST = 40, 4
"""Windows of a text where nobody says how many: of a small model, and of the largest."""
AFFORDABLE = 40e9
"""Parameters times windows that are read of a text where nobody says how many: a model of 7 B reads so much in about
four minutes on two cores."""


def usual(parameters: int) -> int:
    """Windows of each text that a model of so many parameters reads where nobody says how many."""
    return max(LEAST, min(USUAL, int(AFFORDABLE / max(parameters, 1))))


@dataclass(frozen=True)
class Wanted:
    """Section `[evaluate]`. `text` and `tasks` are files or names of built-in ones; no `text` means the built-in one
    that suits the model, `none` none. `questions`: at most so many of each task, 0 for all. `windows`: so many of each
    text, `all`, or as many as the model's size allows where empty. `every_token`: score
    all of a conversation, not only the answers in it. `threads` 0: one for each physical core. `speed`:
    whether the engine is started to measure memory and speed."""

    text: tuple[str, ...] = ()
    tasks: tuple[str, ...] = ()
    questions: Annotated[int, Meta(ge=0)] = 0
    windows: str = ""
    context: Annotated[int, Meta(ge=16)] = CONTEXT
    every_token: bool = False
    threads: Annotated[int, Meta(ge=0)] = 0
    seed: Annotated[int, Meta(ge=0)] = 0
    speed: bool = True

    def __post_init__(self) -> None:
        if self.windows not in ("", ALL) and not (self.windows.isascii() and self.windows.isdecimal() and self._count):
            raise SettingError(name="windows", value=self.windows, wanted=WINDOWS, source="--windows")

    @property
    def _count(self) -> int:
        return int(self.windows)

    def most(self, parameters: int) -> int | None:
        """Windows of each text that a model of so many parameters reads; None for all."""
        if self.windows == ALL:
            return None
        if self.windows:
            return self._count
        return usual(parameters)

    def texts(self) -> list[Text] | None:
        """Raises NoSuchText, NotAText; None for the one that suits the model."""
        from penjing.shrink.texts.known import texts

        if not self.text:
            return None
        return [each for name in self.text if name != NONE for each in texts(name)]

    def questioned(self) -> Sequence[Task]:
        """Raises NoSuchTask, NotAYardstick, and what lm-eval's tasks come upon."""
        from penjing.shrink.evaluate.tasks import task

        return [each for name in self.tasks for each in task(name, self.questions or None)]
