"""What every page of penjing has: the sheet of styles, the switch of languages, a head and a foot; one file that needs
nothing else.

Does not know: what a page says.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from html import escape
from typing import Any

from penjing.plan.said import Said

LANGUAGES = ("en", "zh")


@dataclass(frozen=True)
class About:
    """What the page is of: `title` and `name` of the model, `command` that makes it again, `when` (ISO 8601),
    `version` of penjing, `facts` (about, value) of the model."""

    title: str
    name: str
    command: str
    when: str
    version: str
    facts: tuple[tuple[Said, str], ...] = ()


def render(template: str, values: Mapping[str, Any]) -> str:
    """The page that `template`, which extends `frame.html`, makes of `values`. These hold what the frame shows:
    `language` (shown first), `about`, `verb`, `eyebrow`, `place`."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    loader = PackageLoader("penjing", "data/report")
    environment = Environment(
        loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    return environment.get_template(template).render(values)


def in_both(sentence: Said) -> str:
    """Markup of which the page shows one language."""
    english, chinese = (sentence.words(language) for language in LANGUAGES)
    if english == chinese:
        return escape(english)
    return f'<span class="en" lang="en">{escape(english)}</span><span class="zh" lang="zh">{escape(chinese)}</span>'
