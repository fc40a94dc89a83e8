from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from penjing.cli.layout import Page, columns, wrap

WORDS = st.text(st.sampled_from("ab 量化，。 x"), max_size=80)


def test_a_chinese_character_is_two_columns() -> None:
    assert columns("KV 缓存。") == 9


@given(WORDS, st.integers(4, 40))
def test_wrapping_loses_nothing_but_spaces(text: str, width: int) -> None:
    assert "".join("".join(wrap(text, width)).split()) == "".join(text.split())


@given(WORDS, st.integers(8, 40))
def test_lines_fit_but_for_long_words_and_closing_marks(text: str, width: int) -> None:
    longest = max((columns(word) for word in text.split()), default=0)
    marks = max((len(word) for word in text.split()), default=0) * 2
    assert all(columns(line) <= max(width, longest) + marks for line in wrap(text, width))


def test_no_line_begins_with_a_closing_mark() -> None:
    lines = wrap("量化把权重压小，体积变小。" * 6, 13)
    assert len(lines) > 6
    assert not [line for line in lines if line[0] in "，。"]


def test_definitions_stand_in_columns() -> None:
    page = Page(width=40)
    page.write_dl([("--a", "一二三四五六七八九十一二三四五六七八九十"), ("--bcd", "short")])
    assert page.getvalue() == ("--a    一二三四五六七八九十一二三四五六\n       七八九十\n--bcd  short\n")


def test_a_long_name_has_its_meaning_below() -> None:
    page = Page(width=60)
    page.write_dl([("--a-very-long-name-of-an-option-indeed", "meaning")], col_max=10)
    assert page.getvalue().splitlines() == ["--a-very-long-name-of-an-option-indeed", " " * 12 + "meaning"]
