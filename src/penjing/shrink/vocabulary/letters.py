"""Which letters are a language's own: those that text in the old languages never has.

Letters are told apart by script, which is the first word of their Unicode name (CJK, CYRILLIC, THAI ...); the
punctuation of East Asia goes with its scripts. Latin letters are never new: every tokenizer writes them already.

Does not know: tokenizers.
"""

from __future__ import annotations

import functools
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

EAST_ASIAN = frozenset(("CJK", "HIRAGANA", "KATAKANA", "BOPOMOFO", "HANGUL"))
EAST_ASIAN_MARKS = ((0x3000, 0x303F), (0xFF00, 0xFFEF))
"""Unicode blocks: CJK Symbols and Punctuation, Halfwidth and Fullwidth Forms."""
OLD = frozenset(("LATIN", "FULLWIDTH", "MODIFIER", "MATHEMATICAL"))
COMMON = 0.01
"""A script belongs to a text where it has this share of its letters."""


@functools.lru_cache(maxsize=1 << 17)
def script(letter: str) -> str:
    """The script of a letter or of a mark on letters; empty for what is neither, and for unassigned code points.

    >>> script("模"), script("я"), script("1")
    ('CJK', 'CYRILLIC', '')
    """
    if unicodedata.category(letter)[0] not in "LM":
        return ""
    return unicodedata.name(letter, "").partition(" ")[0].partition("-")[0]


@dataclass(frozen=True)
class Letters:
    """The characters of some scripts, but for those in `kept`."""

    scripts: frozenset[str]
    kept: frozenset[str] = frozenset()

    def __contains__(self, character: object) -> bool:
        if not isinstance(character, str) or character in self.kept:
            return False
        return script(character) in self.scripts or self._mark(character)

    def _mark(self, character: str) -> bool:
        if not self.scripts & EAST_ASIAN or unicodedata.category(character) == "Cn":
            return False
        return any(first <= ord(character) <= last for first, last in EAST_ASIAN_MARKS)

    def all_from(self, lead: bytes) -> bool:
        """Whether every character whose UTF-8 begins with `lead` (2 or 3 bytes, less than a whole one) is among them:
        then these bytes stand in no text without one of them."""
        size = 2 if lead[0] < 0xE0 else 3 if lead[0] < 0xF0 else 4
        missing = size - len(lead)
        first = lead + b"\x80" * missing
        try:
            begin = ord(first.decode())
        except UnicodeDecodeError:  # overlong, or among the surrogates
            return False
        return _all(self, begin, 64**missing)


@functools.lru_cache(maxsize=1 << 12)
def _all(letters: Letters, begin: int, count: int) -> bool:
    return all(chr(number) in letters for number in range(begin, begin + count))


def own(counts: Mapping[str, int], kept: Iterable[str] = ()) -> Letters:
    """The letters of the language that a text with these `counts` of characters is in: those of its scripts, without
    Latin and without the characters in `kept`. Empty scripts where there is nothing of its own."""
    known = frozenset(kept)
    scripts: Counter[str] = Counter()
    for character, count in counts.items():
        if character not in known:
            scripts[script(character)] += count
    del scripts[""]
    total = sum(scripts.values())
    chosen = {name for name, count in scripts.items() if name not in OLD and count >= COMMON * total}
    return Letters(frozenset(chosen), known)
