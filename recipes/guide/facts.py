"""Reads the written facts and phrases; a Fact is one answer that can be asked for in many wordings."""

from __future__ import annotations

import random
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

HERE = Path(__file__).parent
LANGS = ("en", "zh")
Key = list[list[str]]
_CHOICE = re.compile(r"\(([^()|]*(?:\|[^()|]*)+)\)")
_MARK = re.compile(r"<([^<>]*)>")


def read(name: str) -> dict[str, Any]:
    """A data file of this folder, such as `facts/talk`."""
    with (HERE / f"{name}.toml").open("rb") as file:
        return tomllib.load(file)


def plain(marked: str) -> str:
    """The answer as it is said: `<a|b>` becomes `a`."""
    return _MARK.sub(lambda found: found[1].split("|")[0], marked)


def key_of(answers: Sequence[str]) -> Key:
    """The groups marked in the wordings of one answer; the n-th marks of all wordings are alternatives."""
    marks = [[mark.replace("`", "").strip().split("|") for mark in _MARK.findall(answer)] for answer in answers]
    if len({len(groups) for groups in marks}) != 1 or not marks[0]:
        raise ValueError(f"every wording needs the same number of <marks>, at least one: {answers}")
    return [sorted({alternative for groups in same for alternative in groups}) for same in zip(*marks, strict=True)]


@dataclass(frozen=True)
class Wordings:
    """Questions for one fact: those of training and those kept for the yardstick, each with its template's name."""

    train: tuple[tuple[str, str], ...]
    held: tuple[tuple[str, str], ...]
    framed: tuple[tuple[str, str], ...] = ()

    def draw(self, rng: random.Random, held: bool = False) -> tuple[str, str]:
        """A template and its name; of those for training, half are framed."""
        if held:
            return rng.choice(self.held)
        name, text = rng.choice(self.framed if self.framed and rng.random() < 0.5 else self.train)
        return name, _CHOICE.sub(lambda found: rng.choice(found[1].split("|")), text)


@dataclass(frozen=True)
class Fact:
    """One thing the guide knows in one language."""

    id: str
    kind: str
    lang: str
    subject: str
    intent: str
    marked: tuple[str, ...]
    wordings: Wordings
    slots: tuple[Mapping[str, str], ...] = ({},)

    @property
    def key(self) -> Key:
        return key_of(self.marked)

    def answer(self, rng: random.Random) -> str:
        return plain(rng.choice(self.marked))

    def ask(self, rng: random.Random, held: bool = False) -> tuple[str, str]:
        """A question and its template's name."""
        name, template = self.wordings.draw(rng, held)
        return fill(template, rng.choice(self.slots)), name

    def short(self) -> str | None:
        """The answer's first clause where that is shorter and still says something of the key."""
        if self.intent == "both":
            return None
        marked = self.marked[0]
        first = re.split(r"(?<=[.;:])\s" if self.lang == "en" else r"(?<=[。；：])", marked)[0]
        if len(first) > 0.8 * len(marked) or not _MARK.search(first) or marked.count("`", 0, len(first)) % 2:
            return None
        return first.rstrip(".;:。；：") + ("." if self.lang == "en" else "。")


def fill(template: str, slots: Mapping[str, str]) -> str:
    """The template with its {slots} filled; other braces stay."""
    for name, word in slots.items():
        template = template.replace("{" + name + "}", word)
    return template


@cache
def framed(intent: str, lang: str) -> tuple[tuple[str, str], ...]:
    """Every frame around every part of an intent; what equals a held wording is left out."""
    frames = read("phrases/frames")
    held = set(read("phrases/intents").get(intent, {}).get("held", {}).get(lang, []))
    return tuple(
        (f"{intent}.{lang}.{part}{i}.{j}", text)
        for part in ("np", "cl")
        for i, inner in enumerate(frames.get(intent, {}).get(part, {}).get(lang, []))
        for j, frame in enumerate(frames["frame"][part][lang])
        if (text := frame.replace("{" + part + "}", inner)) not in held
    )


@cache
def shared(intent: str, lang: str) -> Wordings:
    """The wordings of an intent, frames included."""
    own = wordings(intent, read("phrases/intents")[intent], lang)
    return Wordings(own.train, own.held, framed(intent, lang))


def wordings(name: str, table: Mapping[str, Any], lang: str) -> Wordings:
    """The `q` and `held` lists of a table in one language, each wording named."""
    return Wordings(
        tuple((f"{name}.{lang}.{i}", q) for i, q in enumerate(table.get("q", {}).get(lang, []))),
        tuple((f"{name}.{lang}.held{i}", q) for i, q in enumerate(table.get("held", {}).get(lang, []))),
    )


def _wordings_list(answer: str | list[str]) -> tuple[str, ...]:
    return (answer,) if isinstance(answer, str) else tuple(answer)


def _named(file: str, lang: str, what: str) -> list[Fact]:
    """Facts of named things, one an intent; `what` names the templates of the intent `what`."""
    facts = []
    for subject, table in read(f"facts/{file}").items():
        slots = tuple({"x": name} for name in table["names"][lang])
        for intent in (name for name in table if name != "names"):
            template = what if intent == "what" else intent
            marked = _wordings_list(table[intent][lang])
            asked = shared(template, lang)
            facts.append(Fact(f"{subject}.{intent}", "fact", lang, subject, intent, marked, asked, slots))
        if file == "concepts" and "why" in table:
            joint = " " if lang == "en" else ""
            marked = (joint.join(_wordings_list(table[intent][lang])[0] for intent in ("what", "why")),)
            asked = shared("both", lang)
            facts.append(Fact(f"{subject}.both", "fact", lang, subject, "both", marked, asked, slots))
    return facts


def _own(file: str, kind: str, lang: str) -> list[Fact]:
    """Facts with questions of their own."""
    asked = read("phrases/asked")
    facts = []
    for name, table in read(f"facts/{file}").items():
        own = wordings(name, table, lang)
        more = tuple((f"{name}.{lang}.asked{i}", q) for i, q in enumerate(asked.get(name, {}).get(lang, [])))
        marked = _wordings_list(table["a"][lang])
        facts.append(Fact(name, kind, lang, name, "own", marked, Wordings(own.train, own.held, more)))
    return facts


def _pairs(lang: str) -> list[Fact]:
    asked = shared("compare", lang)
    facts = []
    for name, table in read("facts/compare").items():
        a, b = table["pair"][lang]
        slots = ({"a": a, "b": b}, {"a": b, "b": a})
        facts.append(Fact(name, "fact", lang, name, "compare", _wordings_list(table["a"][lang]), asked, slots))
    return facts


@cache
def load(lang: str) -> tuple[Fact, ...]:
    """All written facts in one language, in the order of the files."""
    return tuple(
        _named("concepts", lang, "what")
        + _named("commands", lang, "command")
        + _own("howto", "fact", lang)
        + _pairs(lang)
        + _own("talk", "greeting", lang)
    )
