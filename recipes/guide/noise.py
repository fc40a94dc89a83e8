"""How people really type: no capitals, no question mark, a slip of the finger, a polite word before."""

from __future__ import annotations

import random
import re

from .facts import read

_BEFORE, _AFTER = (read("phrases/typing")[part] for part in ("before", "after"))
_EDGE = re.compile(r"(?<=[\u4e00-\u9fff])(?=[A-Za-z0-9])|(?<=[A-Za-z0-9])(?=[\u4e00-\u9fff])")
_GAP = re.compile(r"(?<=[\u4e00-\u9fff]) | (?=[\u4e00-\u9fff])")


def normal(text: str) -> str:
    """Text without case, spaces and punctuation, to compare wordings."""
    return re.sub(r"[\s\W_]+", "", text.lower()) or text.strip()


def _slip(text: str, rng: random.Random) -> str:
    """One letter swapped, dropped or doubled in one longer word."""
    words = text.split(" ")
    places = [i for i, word in enumerate(words) if len(word) > 4 and word.isalpha() and word.isascii()]
    if not places:
        return text
    at = rng.choice(places)
    word, i = words[at], rng.randrange(1, len(words[at]) - 1)
    slips = (word[:i] + word[i + 1] + word[i] + word[i + 2 :], word[:i] + word[i + 1 :], word[:i] + word[i] + word[i:])
    words[at] = rng.choice(slips)
    return " ".join(words)


def type_like_people(text: str, lang: str, rng: random.Random, much: float = 1.0) -> str:
    """The text with some noise; `much` scales how often."""
    if rng.random() < 0.12 * much:
        text = rng.choice(_BEFORE[lang]) + text
    if rng.random() < 0.35 * much:
        text = text.rstrip("?.!？。！ ") or text
    elif lang == "zh" and rng.random() < 0.25 * much:
        text = text.replace("？", "?").replace("，", ",")
    if rng.random() < 0.08 * much:
        text = (text.rstrip("?.!？。！ ") or text) + rng.choice(_AFTER[lang])
    if lang == "zh" and rng.random() < 0.35 * much:
        text = _EDGE.sub(" ", text) if rng.random() < 0.5 else _GAP.sub("", text)
    draw = rng.random()
    if draw < 0.25 * much:
        text = text.lower()
    elif draw < 0.60 * much:
        text = text[:1].upper() + text[1:]
    elif draw < 0.62 * much:
        text = text.upper()
    if rng.random() < 0.08 * much:
        text = _slip(text, rng)
    return text
