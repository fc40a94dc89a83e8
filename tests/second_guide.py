"""Another version of the built-in model that can be told from it by any answer: four words of its vocabulary shout."""

from __future__ import annotations

import struct
from pathlib import Path

WORDS = ("of", "to", "and", "in")
SPACE = "Ġ"
"""How byte-level BPE writes a space (GPT-2's bytes_to_unicode)."""


def write_second_guide(path: Path, first: Path) -> Path:
    """`first` with other words: the same bytes but for four strings of its vocabulary."""
    content = first.read_bytes()
    for word in WORDS:
        old, new = (_string(SPACE + each) for each in (word, word.upper()))
        assert (content.count(old), content.count(new)) == (1, 0)  # a word that stands twice would end the engine
        content = content.replace(old, new)
    path.write_bytes(content)
    return path


def version_of(text: str) -> set[int]:
    """Which of the two wrote `text`: {1}, {2}, {} where it cannot be told, {1, 2} where both did."""
    words = text.split()
    quiet, loud = any(word in WORDS for word in words), any(word in {w.upper() for w in WORDS} for word in words)
    return {number for number, found in ((1, quiet), (2, loud)) if found}


def _string(text: str) -> bytes:
    """As GGUF writes a string (docs/gguf.md: its length, then its bytes)."""
    encoded = text.encode()
    return struct.pack("<Q", len(encoded)) + encoded
