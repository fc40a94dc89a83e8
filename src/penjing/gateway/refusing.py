"""Whether an answer is a refusal, heard while it passes: OpenAI's own marks (`refusal`, the reason to finish
`content_filter`), and the words that refusals begin with (`data/refusals.json`). Looking at beginnings is the idea of
Zou et al. 2023, arXiv:2307.15043, appendix B; the words are ours.

It counts the same way for both versions of a model, which is all that a comparison needs: words alone do not tell a
good refusal from a bad one.

Does not know: what was asked.
"""

from __future__ import annotations

import functools
import json
import re
from importlib import resources

BEGINNING = 120
"""Letters of an answer in which refusals are looked for."""
CONTENT = re.compile(rb'"content"\s*:\s*("(?:[^"\\]|\\.)*")')
MARKS = (b'"content_filter"', b'"refusal":"', b'"refusal": "')


@functools.cache
def words() -> tuple[str, ...]:
    """What refusals begin with, in lower case."""
    page = resources.files("penjing") / "data" / "refusals.json"
    return tuple(word for several in json.loads(page.read_text(encoding="utf-8")).values() for word in several)


class Refusing:
    """A tap of an answer; `refused` when it is over."""

    def __init__(self) -> None:
        self._beginning = ""
        self._marked = False

    def __call__(self, data: bytes) -> None:
        """OpenAI's bytes: whole events, or the whole body."""
        self._marked = self._marked or any(mark in data for mark in MARKS)
        if len(self._beginning) < BEGINNING:
            self._beginning += "".join(json.loads(each) for each in CONTENT.findall(data))

    @property
    def refused(self) -> bool:
        """Whether what was heard is a refusal."""
        said = self._beginning[:BEGINNING].lower().replace("’", "'")
        return self._marked or any(word in said for word in words())
