"""Choices as they are made, each with its reason.

Does not know: what is chosen.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TypeVar

from penjing.language import say

T = TypeVar("T")
ASKED = "you asked for it"


@dataclass(frozen=True)
class Choice:
    """One setting and why: `reason` is a template for `penjing.language.say`, filled with `facts`. `overridden` when a
    person chose the value."""

    name: str
    value: object
    reason: str
    facts: dict[str, object] = field(default_factory=dict)
    overridden: bool = False

    def why(self, language: str | None = None) -> str:
        """The reason in `language` (default: the reader's)."""
        return say(self.reason, language=language, **self.facts)


class Sheet:
    """Collects choices while they are made."""

    def __init__(self) -> None:
        self.choices: list[Choice] = []

    def choose(self, name: str, asked: T | None, derived: T, reason: str, /, **facts: object) -> T:
        """`asked` where a person asked, else `derived` for `reason`; either is noted."""
        if asked is not None:
            self.choices.append(Choice(name, asked, ASKED, {}, overridden=True))
            return asked
        self.choices.append(Choice(name, derived, reason, facts))
        return derived
