"""The same question in other words: in a sentence around it, with synonyms, or from the answer back to its name.

Applied to training questions on both sides of the guide's world alike, so that no word of it betrays a side.
"""

from __future__ import annotations

import random
import re
from functools import cache

from .facts import Fact, plain, read

_DATA = read("phrases/vary")
_NAMES = re.compile(r"penjing [a-z]|--|/|\bcommand\b|\bstore\b|\bkeys\b|\baudit\b|命令|密钥|审计", re.IGNORECASE)
_CHOICE = re.compile(r"\(([^()|]*(?:\|[^()|]*)+)\)")


@cache
def _pattern(lang: str, part: str) -> re.Pattern[str]:
    """Any of the words of a list, longest first; English ones as whole words."""
    words = "|".join(re.escape(word) for word in sorted(_DATA[part][lang], key=len, reverse=True))
    return re.compile(rf"\b(?:{words})\b" if lang == "en" else f"(?:{words})", re.IGNORECASE)


def _other(text: str, lang: str, part: str, chance: float, rng: random.Random) -> str:
    """The text with some of its words replaced by others that mean the same; what stands in `code` stays."""

    def another(found: re.Match[str]) -> str:
        return rng.choice(_DATA[part][lang][found[0].lower()]) if rng.random() < chance else found[0]

    pieces = re.split("(`[^`]*`)", text)
    return "".join(p if p.startswith("`") else _pattern(lang, part).sub(another, p) for p in pieces)


def vary(question: str, lang: str, rng: random.Random, *, inside: bool) -> str:
    """The question in other words, or as it is; `inside` allows other words for the guide's own terms."""
    wordy = _NAMES.search(question) is None  # its words are ordinary ones, not the names of commands and options
    if wordy and rng.random() < 0.4:
        question = _other(question, lang, "words", 0.6, rng)
    if wordy and inside and rng.random() < 0.2:
        question = _other(question, lang, "terms", 0.6, rng)
    frame = _DATA["frame"][lang]
    if rng.random() < 0.1:
        question = rng.choice(frame["before"]) + question
    if rng.random() < 0.06:
        question = (question.rstrip("?.!？。！ ") or question) + rng.choice(frame["after"])
    return question


def _does(fact: Fact) -> str | None:
    """What the first sentence of a fact says of the thing that begins it."""
    said = plain(fact.marked[0])
    names = sorted((slot["x"] for slot in fact.slots if "x" in slot), key=len, reverse=True)
    for name in names:
        for opening in (f"`{name}", name):
            if said.lower().startswith(opening.lower()):
                rest = said[len(opening) :]
                if rest.startswith(" ") and "`" in rest and opening.startswith("`"):
                    rest = rest.split("`", 1)[1]  # `penjing chat MODEL` and its like
                first = re.split(r"(?<=[a-z0-9)])[.;:](?:\s|$)|[。；：]", rest.lstrip("`").strip())[0]
                return first.rstrip(".") if len(first) > 8 and "`" not in first and first[0].isalnum() else None
    return None


def reverse(fact: Fact, rng: random.Random) -> str | None:
    """A question that tells what a thing does and asks which it is; None where the answer does not begin with it."""
    if fact.intent != "what" or (does := _does(fact)) is None:
        return None
    name = "reverse-command" if fact.wordings.train[0][0].startswith("command.") else "reverse"
    template = _CHOICE.sub(lambda found: rng.choice(found[1].split("|")), rng.choice(_DATA[name][fact.lang]))
    return str(template).replace("{does}", does)
