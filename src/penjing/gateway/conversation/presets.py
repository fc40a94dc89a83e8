"""Prompt presets: a system prompt, the language and the form of answers, as data.

Ours are in `data/presets.toml`; an operator adds tables `[context.presets.NAME]`. A client chooses one with the header
`x-penjing-preset`.

Does not know: who applies them.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Literal

import msgspec

from penjing.errors import InputError

LANGUAGES = {"en": "Answer in English.", "zh": "请用简体中文回答。"}
FORMS = {
    ("en", True): "Format the answer as Markdown.",
    ("zh", True): "请用 Markdown 格式回答。",
    ("en", False): "Answer in plain text, without Markdown.",
    ("zh", False): "请用纯文本回答,不要使用 Markdown。",
}


class NoSuchPreset(InputError):
    """Facts: `preset`, `known`."""

    template = "There is no preset '{preset}'."
    hint = "Presets here: {known}"
    code = "unknown_preset"


@dataclass(frozen=True)
class Preset:
    """`system` is used where the client sent no system message. `language` and `markdown` ask for a language and a form
    in either case; None and "" leave them open."""

    system: str = ""
    language: Literal["", "en", "zh"] = ""
    markdown: bool | None = None

    def text(self, *, own: bool) -> str:
        """What is added to a client's `own` system message, or stands in its place."""
        wishes = []
        if self.language:
            wishes.append(LANGUAGES[self.language])
        if self.markdown is not None:
            wishes.append(FORMS[self.language or "en", self.markdown])
        return "\n\n".join(filter(None, ("" if own else self.system, " ".join(wishes))))


@cache
def built_in() -> dict[str, Preset]:
    """Those in the package."""
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib
    text = files("penjing").joinpath("data/presets.toml").read_text(encoding="utf-8")
    return msgspec.convert(tomllib.loads(text), dict[str, Preset])


def preset(name: str, own: Mapping[str, Preset]) -> Preset:
    """The preset `name`, an operator's `own` first. Raises NoSuchPreset."""
    known = {**built_in(), **own}
    if name not in known:
        raise NoSuchPreset(preset=name[:64], known=", ".join(known))
    return known[name]
