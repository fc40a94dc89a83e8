from __future__ import annotations

import pytest

from penjing import language


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({}, "en"),
        ({"LANG": "zh_CN.UTF-8"}, "zh"),
        ({"LANG": "de_DE.UTF-8"}, "en"),
        ({"LC_ALL": "C", "LANG": "zh_CN.UTF-8"}, "en"),
        ({"PENJING_LANGUAGE": "zh", "LC_ALL": "C"}, "zh"),
        ({"PENJING_LANGUAGE": "en", "LANG": "zh_CN.UTF-8"}, "en"),
    ],
)
def test_current(monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], expected: str) -> None:
    for name in language.ENVIRONMENT:
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert language.current() == expected


def test_say_fills_facts_and_falls_back_to_english() -> None:
    assert language.say("{a} never translated {b}", language="zh", a=1, b="x") == "1 never translated x"
    assert language.say("braces {stay} without facts", language="en") == "braces {stay} without facts"


def test_chinese_is_chinese() -> None:
    assert language.catalogue("en") == {}
    translated = language.catalogue("zh")
    assert translated["Choose another: --port {free}"].endswith("--port {free}")
