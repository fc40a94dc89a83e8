"""Other ways to ask how: `how do I X` becomes `I want to X, how?`, on both sides of the guide's world alike."""

from __future__ import annotations

import random
import re

_HOW = {
    "en": re.compile(r"^(?:how do I|how can I|how to) ([^,?]+)\??$", re.IGNORECASE),
    "zh": re.compile(r"^(?:怎么|怎样|如何)([^，？]{2,})？?$"),
}
_WAYS = {
    "en": ["how can I {}?", "how to {}", "tell me how to {}", "show me how to {}", "I want to {}, how?", "what must be done to {}?",
           "explain how to {}", "is there a way to {}?", "I need to {}", "what is the best way to {}?", "can you tell me how to {}?",
           "could you show me how to {}?", "how should I {}?", "I would like to {}", "how would I {}?", "help me {}",
           "how might one {}?", "what do I have to do to {}?", "I do not know how to {}", "I am trying to {}",
           "how could I {}?", "what steps do I take to {}?", "can I {}?", "is it possible to {}?", "I wish to {}"],
    "zh": ["如何{}？", "怎样{}？", "怎么{}？", "告诉我怎么{}", "教我怎么{}", "我想{}，怎么做？", "{}的方法", "我要{}", "有办法{}吗？",
           "能告诉我怎么{}吗？", "我该怎么{}？", "我想{}", "帮我{}", "要怎么{}？", "我不知道怎么{}", "该如何{}？", "可以{}吗？",
           "{}要怎么做？", "{}的步骤是什么？", "最好怎么{}？", "我需要{}"],
}  # fmt: skip


def rephrase(question: str, lang: str, rng: random.Random) -> str:
    """The question asked another way, or as it is where it does not ask how."""
    found = _HOW[lang].match(question)
    if found is None or rng.random() < 0.4:
        return question
    return rng.choice(_WAYS[lang]).format(found[1].strip())
