"""What a person reads, in English and Simplified Chinese.

The English template in the code is the key; `data/language/zh/*.json` maps it to Chinese. A template's
facts are named fields of `str.format`, the same in both languages. A template without a Chinese entry is
shown in English; a test fails on every one that is missing.

Does not know: who prints. Log lines and HTTP bodies stay English (they are read by programs).
"""

from __future__ import annotations

import functools
import json
import os
from importlib import resources

LANGUAGES = ("en", "zh")
PHRASES = frozenset(("detail", "feature", "wanted", "word"))
"""Facts that penjing words itself: they are translated where they have an entry. All others are shown as they are."""
ENVIRONMENT = ("PENJING_LANGUAGE", "LC_ALL", "LC_MESSAGES", "LANG")


def current() -> str:
    """The reader's language, `"en"` or `"zh"`: PENJING_LANGUAGE, else the POSIX locale variables in their order."""
    for name in ENVIRONMENT:
        value = os.environ.get(name, "")
        if value:
            return "zh" if value.lower().startswith("zh") else "en"
    return "en"


@functools.cache
def catalogue(language: str) -> dict[str, str]:
    """All translations of one language: English template to translated template; `{}` for English."""
    entries: dict[str, str] = {}
    if language == "en":
        return entries
    folder = resources.files("penjing") / "data" / "language" / language
    for page in sorted(folder.iterdir(), key=lambda page: page.name):
        if page.name.endswith(".json"):
            entries.update(json.loads(page.read_text(encoding="utf-8")))
    return entries


def say(template: str, /, *, language: str | None = None, **facts: object) -> str:
    """`template` in the reader's language with `facts` filled in, PHRASES among them translated too.

    >>> say("{count} models", language="en", count=2)
    '2 models'
    """
    entries = catalogue(language or current())
    chosen = entries.get(template, template)
    for name in PHRASES & facts.keys():
        fact = facts[name]
        facts[name] = entries.get(fact, fact) if isinstance(fact, str) else fact
    return chosen.format(**facts) if facts else chosen
