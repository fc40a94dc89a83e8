"""The page: it needs nothing from elsewhere, says all in both languages, and its pictures are well formed."""

from __future__ import annotations

import dataclasses
import re
from xml.etree import ElementTree

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penjing.plan import devices, place, words
from penjing.plan.answer import Answer, Wish, recommend
from penjing.plan.bill import NAMES, Bill, money, seconds_of, watts
from penjing.plan.cost import FIGURES, Cost, Running, Setup, Usage
from penjing.plan.prices import Price
from penjing.plan.report import landscape, memory
from penjing.plan.report import money as pictures
from penjing.plan.report.frame import About
from penjing.plan.report.page import page
from penjing.plan.report.svg import Scale, steps
from penjing.plan.said import said
from planned_answers import EIGHT, LAPTOP, PHONE, candidates, with_budget

ABOUT = About("A <model> & more", "a:b", "penjing plan a:b", "2026-01-01 10:00", "1.0", ((said("model"), "a:b"),))
OUTSIDE = re.compile(r"""(\bsrc|\bhref|\baction|\bdata)\s*=|url\(|@import|<link|<iframe|<object|fetch\(|XMLHttp""")


def billed(answer: Answer, **figures: object) -> Bill | None:
    row = answer.chosen or answer.nearest
    if row is None:
        return None
    usage = Usage()
    running = Running(seconds_of(row, usage.fresh_tokens, usage.written_tokens), watts(answer.place))
    cost = Cost(Setup(), usage, running, Price(0.25, 2.0))
    return Bill(dataclasses.replace(cost, **figures), "gpt-5-mini", read="2026-03-21", assumed=("hours", "watts"))  # type: ignore[arg-type]  # by name


ANSWERS = {
    "fits": recommend(candidates(EIGHT), with_budget(LAPTOP, 64 << 30)),
    "shorter": recommend(candidates(EIGHT), with_budget(LAPTOP, 6 << 30), Wish(context=40_000)),
    "no": recommend(candidates(EIGHT), with_budget(PHONE, 1 << 30)),
    "one": recommend(candidates(EIGHT, ("Q4_0",)), with_budget(PHONE, 64 << 30), Wish(slots=4)),
    "published": recommend(candidates(EIGHT), place.there(devices.find("Snapdragon 888")), Wish(quantization="Q8_0")),
}


@pytest.fixture(params=list(ANSWERS))
def answer(request: pytest.FixtureRequest) -> Answer:
    return ANSWERS[request.param]


def test_it_needs_nothing_from_elsewhere(answer: Answer) -> None:
    assert not OUTSIDE.search(page(ABOUT, answer, billed(answer)))


def test_all_texts_in_both_languages(answer: Answer) -> None:
    made = page(ABOUT, answer, billed(answer))
    english, chinese = re.findall(r'class="en"', made), re.findall(r'class="zh"', made)
    assert len(english) == len(chinese) > 15
    for language in ("en", "zh"):
        assert words.verdict(answer).words(language) in made
        assert all(remark.words(language).replace("'", "&#39;")[:30] in made for remark in words.remarks(answer))


@pytest.mark.parametrize("language", ["en", "zh"])
def test_the_language_shown_first(language: str) -> None:
    made = page(ABOUT, ANSWERS["fits"], None, language)
    assert f'<html lang="{language}" data-language="{language}">' in made


def test_names_from_elsewhere_are_text() -> None:
    made = page(ABOUT, ANSWERS["fits"], None)
    assert "A &lt;model&gt; &amp; more" in made
    assert "<model>" not in made


def test_the_pictures_are_well_formed_and_within_their_frame(answer: Answer) -> None:
    bill = billed(answer)
    drawn = [memory.draw(answer), landscape.draw(answer)]
    drawn += [pictures.curve(bill), pictures.tornado(bill)] if bill else []
    for picture in drawn:
        root = ElementTree.fromstring(picture)
        _, _, width, height = map(float, root.attrib["viewBox"].split())
        for element in root.iter():
            for name, most in (("x", width), ("cx", width), ("x2", width), ("y", height), ("cy", height)):
                assert -1 <= float(element.attrib.get(name, 0)) <= most + 1, ElementTree.tostring(element)
            assert "nan" not in " ".join(element.attrib.values())


def test_a_break_even_is_marked_only_where_there_is_one() -> None:
    bill = billed(ANSWERS["fits"])
    assert bill is not None
    assert "even after" in pictures.curve(bill)
    never = billed(ANSWERS["fits"], running=Running(60, 5000, 500, 1))
    assert never is not None
    assert "even after" not in pictures.curve(never)
    assert "∞" in page(ABOUT, ANSWERS["fits"], never)


def test_published_speeds_stand_beside_what_memory_allows() -> None:
    made = page(ABOUT, ANSWERS["published"], None)
    for figure in ("12.3", "15.7", "11.8", "7.6", "8.3"):
        assert f">{figure}</td>" in made
    assert words.disagree().words("en") in made


@given(st.floats(1e-3, 1e12), st.floats(0, 1e12), st.integers(2, 8))
def test_steps_are_round_and_within(span: float, low: float, count: int) -> None:
    found = steps(low + span, low, count)
    assert len(found) <= 2 * count + 2
    assert all(low - span * 1e-6 <= value <= (low + span) * (1 + 1e-6) for value in found)
    assert list(found) == sorted(found)


@settings(max_examples=50)
@given(st.floats(0.1, 1e6), st.floats(1.1, 1e3), st.floats(0, 1), st.booleans())
def test_a_scale_goes_from_end_to_end(low: float, times: float, share: float, log: bool) -> None:
    scale = Scale(low, low * times, 10, 110, log)
    assert scale(low) == pytest.approx(10)
    assert scale(low * times) == pytest.approx(110)
    assert 9.99 <= scale(low + (low * times - low) * share) <= 110.01


def test_every_figure_of_the_tornado_has_a_name() -> None:
    assert {*FIGURES, "price"} <= NAMES.keys()


@given(st.floats(-1e9, 1e9), st.sampled_from(["USD", "CNY", "CHF"]))
def test_money_never_looks_like_nothing_where_it_is_something(amount: float, currency: str) -> None:
    shown = re.sub(r"[^\d.]", "", money(amount, currency).split("e")[0])
    assert (float(shown) == 0) == (amount == 0)
