"""Other ways to ask how: `how do I X` becomes `I want to X, how?`, on both sides of the guide's world alike."""

from __future__ import annotations

import random
import re

from .facts import read

_HOW = {
    "en": re.compile(r"^(?:how do I|how can I|how to) ([^,?]+)\??$", re.IGNORECASE),
    "zh": re.compile(r"^(?:怎么|怎样|如何)([^，？]{2,})？?$"),
}
_WAYS = read("phrases/typing")["how"]


def rephrase(question: str, lang: str, rng: random.Random) -> str:
    """The question asked another way, or as it is where it does not ask how."""
    found = _HOW[lang].match(question)
    if found is None or rng.random() < 0.4:
        return question
    return str(rng.choice(_WAYS[lang])).format(found[1].strip())
