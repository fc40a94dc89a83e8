"""Other words for the same question: names stay, both languages and both sides are treated alike."""

from __future__ import annotations

import random

import pytest
from recipes.guide.facts import LANGS, load, read
from recipes.guide.vary import reverse, vary

WORDS = read("phrases/vary")


def many(question: str, lang: str, *, inside: bool) -> set[str]:
    rng = random.Random(3)
    return {vary(question, lang, rng, inside=inside) for _ in range(400)}


@pytest.mark.parametrize(
    ("lang", "question"), [("en", "what is a good model for memory?"), ("zh", "什么是合适的模型？")]
)
def test_a_question_is_said_in_many_ways_and_often_as_it_is(lang: str, question: str) -> None:
    said = many(question, lang, inside=True)
    assert question in said
    assert len(said) > 40


@pytest.mark.parametrize("question", ["what does penjing explain do?", "show --bits", "the explain command", "/model"])
def test_names_of_commands_and_options_stay(question: str) -> None:
    core = question.rstrip("?")
    assert all(core in said for said in many(question, "en", inside=True))


def test_code_stays() -> None:
    assert all("`what is`" in said for said in many("explain `what is` please", "en", inside=True))


def test_terms_of_the_guides_world_change_only_inside() -> None:
    assert any("LLM" in said for said in many("a model of clay", "en", inside=True))
    assert not any("LLM" in said for said in many("a model of clay", "en", inside=False))


@pytest.mark.parametrize("lang", LANGS)
def test_every_list_is_of_real_alternatives(lang: str) -> None:
    for part in ("words", "terms"):
        for word, others in WORDS[part][lang].items():
            assert word == word.lower()
            assert others
            assert word not in others


@pytest.mark.parametrize("lang", LANGS)
def test_most_answers_lead_back_to_their_name(lang: str) -> None:
    rng = random.Random(5)
    facts = [fact for fact in load(lang) if fact.intent == "what"]
    asked = {fact.id: question for fact in facts if (question := reverse(fact, rng))}
    assert len(asked) > 0.7 * len(facts)
    assert not any(mark in question for question in asked.values() for mark in "{}<>`")
    assert reverse(next(fact for fact in load(lang) if fact.intent == "compare"), rng) is None
