"""A sentence that is worded where it is shown: an English template and the facts that fill it.

Does not know: the reader's language.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from penjing.language import say

BETWEEN = ", "
"""A template too: lists have other commas elsewhere."""


@dataclass(frozen=True)
class Said:
    """`template` as `penjing.language.say` takes it; facts that are themselves `Said`, or a tuple of them, are worded
    in the same language."""

    template: str
    facts: dict[str, object] = field(default_factory=dict)

    def words(self, language: str | None = None) -> str:
        """The sentence in `language` (default: the reader's)."""
        filled = {name: worded(fact, language) for name, fact in self.facts.items()}
        return say(self.template, language=language, **filled)


def worded(fact: object, language: str | None) -> object:
    """A fact as it is shown."""
    if isinstance(fact, tuple):
        return say(BETWEEN, language=language).join(str(worded(each, language)) for each in fact)
    return fact.words(language) if isinstance(fact, Said) else fact


def said(template: str, /, **facts: object) -> Said:
    """A sentence to be."""
    return Said(template, facts)
