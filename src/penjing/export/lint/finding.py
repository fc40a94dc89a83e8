"""One thing that a target does not take as it is.

Does not know: where it was looked for.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from penjing.export.lint.table import LEVELS, Level, Table
from penjing.language import current


@dataclass(frozen=True)
class Sight:
    """What was seen in a model: its `kind` (a key of the tables), how it is called there (`subject`), how often, and
    the names of a few places. `facts` fill the table's words."""

    kind: str
    subject: str
    count: int = 1
    places: tuple[str, ...] = ()
    facts: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True)
class Finding:
    """A sight and what it means for `target`."""

    target: str
    level: Level
    sight: Sight
    en: str
    zh: str

    def words(self, language: str | None = None) -> str:
        """What it means and what to do, in `language` (the reader's where it is None)."""
        template = self.zh if (language or current()) == "zh" else self.en
        return template.format(target=self.target, **self.sight.facts)


def judged(sights: Iterable[Sight], table: Table) -> list[Finding]:
    """What the target's table says about `sights`, the worst first; what it takes is left out."""
    found = []
    for sight in sights:
        words = table.says.get(sight.kind)
        if words is not None and words.level != "taken":
            found.append(Finding(table.target, words.level, sight, words.en, words.zh))
    return sorted(found, key=lambda finding: LEVELS.index(finding.level))
