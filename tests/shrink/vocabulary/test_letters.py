"""Which characters are a language's own."""

from __future__ import annotations

from collections import Counter

import pytest

from penjing.shrink.vocabulary.letters import Letters, own

CHINESE = Letters(frozenset({"CJK"}))


@pytest.mark.parametrize(
    ("text", "scripts"),
    [
        ("模型量化 with some English in it", {"CJK"}),
        ("Модель отвечает", {"CYRILLIC"}),
        ("ひらがなとカタカナと漢字", {"CJK", "HIRAGANA", "KATAKANA"}),
        ("only English, é and ß", set()),
        ("一" + "a" * 200, set()),
    ],
)
def test_scripts_of_a_text(text: str, scripts: set[str]) -> None:
    assert own(Counter(text)).scripts == scripts


def test_what_old_text_has_is_not_new() -> None:
    letters = own(Counter("模型量化"), "型")
    assert "模" in letters
    assert "型" not in letters


def test_east_asian_punctuation_goes_with_its_scripts_and_shared_punctuation_does_not() -> None:
    assert all(mark in CHINESE for mark in "，。、《》（）！")
    assert not any(mark in CHINESE for mark in "“”‘’—…·a1 ")
    assert "，" not in Letters(frozenset({"CYRILLIC"}))


@pytest.mark.parametrize(
    ("lead", "safe"),
    [
        ("中".encode()[:2], True),  # U+4E00 ... U+4E3F
        (b"\xe4\xb7", False),  # U+4DC0 ...: hexagrams
        (b"\xe0\xb8", False),  # Thai
        (b"\xe2\x80", False),  # shared punctuation
        (b"\xed\xa0", False),  # surrogates
        ("𠀀".encode()[:3], True),
        (b"\xe0\x80", False),  # overlong
    ],
)
def test_bytes_that_begin_only_letters_of_the_language(lead: bytes, safe: bool) -> None:
    assert CHINESE.all_from(lead) is safe
