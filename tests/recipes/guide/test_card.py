"""The card tells what was measured, the blind set only by its counts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from recipes.guide import card, evaluate

LANGUAGE = {
    "questions": 10,
    "accuracy": 0.9,
    "accuracy_by_kind": {"fact": 0.8},
    "refusals": 1.0,
    "false_refusals": 0.0,
}
REPORT: dict[str, Any] = {"languages": {"en": LANGUAGE, "zh": LANGUAGE}}


@pytest.mark.parametrize("language", ["en", "zh"])
def test_the_blind_table_has_counts_and_no_kinds(language: str) -> None:
    words = card.WORDS[language]
    text = card.blind({"blind": {"sha256": "a1" * 32, **REPORT}}, words)
    assert "a1a1a1a1a1a1" in text
    assert "90.0 %" in text
    assert words["fact"] not in text
    assert words["fact"] in card.table(REPORT, words)
    assert card.blind({}, words) == ""


def row(lang: str, kind: str, key: list[list[str]]) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": "secret"}], "lang": lang, "kind": kind, "key": key}


def test_a_question_may_stand_without_its_answer() -> None:
    asked = row("en", "fact", [["x"]])
    answered = {**asked, "messages": [*asked["messages"], {"role": "assistant", "content": "x", "reasoning": "y"}]}
    assert evaluate.question(asked) == evaluate.question(answered) == [{"role": "user", "content": "secret"}]


def test_the_blind_report_holds_no_question_and_no_answer(tmp_path: Path) -> None:
    rows = [row("en", "refusal", []), row("en", "fact", [["no such words in any answer"]]), row("zh", "refusal", [])]
    path = tmp_path / "blind.jsonl"
    path.write_text("".join(json.dumps(r) + "\n" for r in rows), encoding="utf-8")
    report = evaluate.blind(Path(__file__).parents[3] / "src/penjing/data/guide/guide.gguf", path)
    assert report["languages"]["en"]["questions"] == 2
    assert report["languages"]["en"]["accuracy"] == 0
    assert report["languages"]["zh"]["accuracy"] is None
    assert "secret" not in json.dumps(report)
