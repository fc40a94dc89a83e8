"""Conversations: turns drawn one after another, some of which only make sense after the one before."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from functools import cache

from . import memory, outside, sums
from .facts import Fact, fill, key_of, load, plain, read, wordings
from .turn import Turn
from .vary import reverse

_PHRASES = read("phrases/followups")
_THOUGHT = read("phrases/typing")["thought"]


@cache
def _by_id(lang: str) -> dict[str, Fact]:
    return {fact.id: fact for fact in load(lang)}


@cache
def _of_kind(lang: str, kind: str) -> tuple[Fact, ...]:
    return tuple(fact for fact in load(lang) if fact.kind == kind)


def _any_fact(lang: str, rng: random.Random) -> Fact:
    """A fact; those with questions of their own come more often, what and why together less."""
    if rng.random() < 0.12:
        return rng.choice([fact for fact in _of_kind(lang, "fact") if fact.intent == "own"])
    fact = rng.choice(_of_kind(lang, "fact"))
    return fact if fact.intent != "both" or rng.random() < 0.3 else rng.choice(_of_kind(lang, "fact"))


def _phrase(name: str, lang: str, rng: random.Random, held: bool) -> tuple[str, str]:
    asked = wordings(f"then-{name}", _PHRASES[name], lang)
    return rng.choice(asked.held if held else asked.train)


def think(turn: Turn) -> Turn:
    """The turn with a short thought before its answer."""
    return turn if turn.reasoning else replace(turn, reasoning=_THOUGHT[turn.lang].get(turn.kind))


def about(fact: Fact, rng: random.Random, held: bool = False) -> Turn:
    """A question for a written fact."""
    question, template = fact.ask(rng, held)
    if not held and rng.random() < 0.08 and (other := reverse(fact, rng)):
        question, template = other, f"reverse.{fact.lang}"
    return _told(fact, question, template, rng)


def _told(fact: Fact, question: str, template: str, rng: random.Random) -> Turn:
    return Turn(question, fact.answer(rng), fact.key, fact.lang, fact.kind, fact.id, template, None, fact)


def first(lang: str, rng: random.Random) -> Turn:
    """Any turn that needs no other before it, as training draws them."""
    draw = rng.random()
    if draw < 0.49:
        return about(_any_fact(lang, rng), rng)
    if draw < 0.54:
        return about(rng.choice(_of_kind(lang, "greeting")), rng)
    if draw < 0.58:
        return memory.choose(lang, rng)
    if draw < 0.61:
        return memory.fit(lang, rng)
    if draw < 0.66:
        return memory.need(lang, rng, think=rng.random() < 0.3)
    if draw < 0.79:
        return sums.ask(lang, rng, think=rng.random() < 0.3)
    return outside.ask(lang, rng)


def _same_subject(before: Turn, rng: random.Random, held: bool) -> Turn | None:
    """why? how? after a concept."""
    if before.about is None:
        return None
    told = {before.about.intent, "both"} | ({"what", "why"} if before.about.intent == "both" else set())
    others = [fact for fact in load(before.lang) if fact.subject == before.about.subject and fact.intent not in told]
    if not others:
        return None
    fact = rng.choice(others)
    template, text = _phrase(fact.intent, before.lang, rng, held)
    return _told(fact, text, template, rng)


def _same_intent(before: Turn, rng: random.Random, held: bool) -> Turn | None:
    """and LoRA? after a question about another concept."""
    if before.about is None or before.about.intent in ("own", "compare", "both"):
        return None
    intent, subject = before.about.intent, before.about.subject
    fact = rng.choice([fact for fact in load(before.lang) if fact.intent == intent and fact.subject != subject])
    template, text = _phrase("other", before.lang, rng, held)
    return _told(fact, fill(text, rng.choice(fact.slots)), template, rng)


def _other_language(before: Turn, rng: random.Random, held: bool) -> Turn | None:
    lang = "zh" if before.lang == "en" else "en"
    template, text = _phrase(f"to-{lang}", before.lang, rng, held)
    if before.about is not None:
        return _told(_by_id(lang)[before.about.id], text, template, rng)
    if before.fact.startswith("memory."):
        return replace(memory.said_in(before, lang), question=text, template=template, reasoning=None)
    if before.kind == "refusal":
        said, key = outside.refusal(lang, rng), outside.refusal_key(lang)
        return replace(before, question=text, answer=said, key=key, lang=lang, template=template, reasoning=None)
    return None


def _shorter(before: Turn, rng: random.Random, held: bool) -> Turn | None:
    short = before.about and before.about.short()
    if not short:
        return None
    template, text = _phrase("short", before.lang, rng, held)
    return replace(before, question=text, answer=plain(short), key=key_of([short]), template=template, reasoning=None)


def _again(before: Turn, rng: random.Random, held: bool) -> Turn:
    template, text = _phrase("repeat", before.lang, rng, held)
    return replace(before, question=text, template=template, reasoning=None)


def _same_figures(before: Turn, rng: random.Random, held: bool) -> Turn | None:
    if before.fact.startswith("memory."):
        return memory.then(before, rng, held)
    if before.kind == "arithmetic":
        return sums.then(before, rng, held)
    return None


FOLLOWUPS: tuple[tuple[Callable[[Turn, random.Random, bool], Turn | None], float], ...] = (
    (_same_subject, 5), (_same_intent, 3), (_same_figures, 5), (_other_language, 1.5), (_shorter, 1), (_again, 0.7),
)  # fmt: skip


def follow(before: Turn, rng: random.Random, held: bool = False) -> Turn:
    """A turn that needs the one before it."""
    while True:
        make = rng.choices([make for make, _ in FOLLOWUPS], [weight for _, weight in FOLLOWUPS])[0]
        turn = make(before, rng, held)
        if turn is not None:
            return turn


def system(lang: str, rng: random.Random, held: bool = False) -> str:
    """A generic system prompt, which must not disturb the answer."""
    return _phrase("system", lang, rng, held)[1]


def conversation(lang: str, rng: random.Random) -> list[Turn]:
    """Two to five turns, as training draws them."""
    turns = [first(lang, rng)]
    if rng.random() < 0.15:
        turns = [about(_by_id(lang)["hello"], rng), *turns]
    for _ in range(rng.choice((1, 1, 2, 2, 3))):
        before = turns[-1]
        if before.kind != "greeting" and rng.random() < 0.65:
            turns.append(follow(before, rng))
        else:
            turns.append(first(before.lang, rng))
    if rng.random() < 0.05:
        turns.append(about(_by_id(turns[-1].lang)[rng.choice(("thanks", "bye"))], rng))
    return turns[:5]
