"""Questions from outside the guide's world, and the one honest answer to them."""

from __future__ import annotations

import random
import re

from .facts import framed, key_of, plain, read, shared, wordings
from .turn import Turn

_PHRASES, _WIDER = read("phrases/outside"), read("phrases/wider")
_SLOTS = {**_WIDER.pop("slots"), **_PHRASES["slots"]}
# how often training asks in the wider registers, and in frames around words from outside
_WIDER_SHARE, _FRAMED_SHARE = 0.4, 0.27
_TOPICS = [name for name in _PHRASES if name not in ("slots", "answers")]
# topics with many shapes and words are drawn more often
_WEIGHT = {"knowledge": 4, "hard": 3, "nonsense": 2, "life": 2, "near": 1.5}
_SLOT = re.compile(r"\{(\w+?)\d?\}")
_PARTS = read("phrases/typing")["invented"]


def invented(lang: str, rng: random.Random) -> str:
    """A word that does not exist."""
    if lang == "zh" and rng.random() < 0.6:
        return "".join(rng.choice(_PARTS["characters"]) for _ in range(rng.randint(2, 4)))
    syllables = range(rng.randint(1, 3))
    return "".join(rng.choice(_PARTS[part]) for _ in syllables for part in ("onsets", "vowels", "codas"))


def _fill(text: str, lang: str, rng: random.Random, held: bool) -> str:
    def word(found: re.Match[str]) -> str:
        if found[1] == "word":
            return invented(lang, rng)
        if found[1] == "big":
            return str(rng.randint(1000, 999999))
        words = _SLOTS[found[1]]
        return str(rng.choice((words["held"] if held else words["q"])[lang]))

    return _SLOT.sub(word, text)


def _framed(lang: str, rng: random.Random) -> tuple[str, str]:
    """A wording of the guide's own intents around a word from outside, or a frame around an outside question."""
    intent = rng.choice(("what", "why", "cost", "how", "number", "example", "compare", "outside", "outside", "outside"))
    template, text = rng.choice(framed(intent, lang)) if intent == "outside" else shared(intent, lang).draw(rng)
    kind = rng.choices(("thing", "near", "word", "homonym", "rival"), (5, 3, 3, 2, 1))[0]
    for slot, name in (("{x}", kind), ("{a}", kind), ("{b}", kind + "2")):
        text = text.replace(slot, "{" + name + "}")
    return f"outside.{template}", text


def ask(lang: str, rng: random.Random, held: bool = False) -> Turn:
    """A question the guide cannot answer, with its refusal."""
    topic, template, text = _told(lang, rng, True) if held else _trained(lang, rng)
    question = _fill(text, lang, rng, held)
    return Turn(question, refusal(lang, rng), refusal_key(lang), lang, "refusal", f"outside.{topic}", template)


def _trained(lang: str, rng: random.Random) -> tuple[str, str, str]:
    """Topic, template and text of a wording that training may see."""
    draw = rng.random()
    if draw < _WIDER_SHARE:
        topic = rng.choice(tuple(_WIDER))
        return topic, *wordings(f"wider-{topic}", _WIDER[topic], lang).draw(rng)
    if draw < _WIDER_SHARE + _FRAMED_SHARE:
        return "framed", *_framed(lang, rng)
    return _told(lang, rng, False)


def _told(lang: str, rng: random.Random, held: bool) -> tuple[str, str, str]:
    """Topic, template and text of a wording from `outside.toml`."""
    topics = _TOPICS if held else [name for name in _TOPICS if not name.startswith("held-")]
    while True:
        topic = rng.choices(topics, [_WEIGHT.get(name, 1) for name in topics])[0]
        asked = wordings(topic, _PHRASES[topic], lang)
        if pool := asked.held if held else asked.train:
            return topic, *rng.choice(pool)


def refusal(lang: str, rng: random.Random) -> str:
    """What the guide says when it does not know."""
    return plain(rng.choice(_PHRASES["answers"][lang]))


def refusal_key(lang: str) -> list[list[str]]:
    """What a judge looks for in a refusal."""
    return key_of(_PHRASES["answers"][lang])
