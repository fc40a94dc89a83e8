"""The corpus of the guide: the same bytes each time, honest towards its yardstick, right by its own judge."""

import hashlib
import json
from collections import Counter
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
from recipes.guide.corpus import heldout, never_trained, train, write
from recipes.guide.facts import LANGS, key_of, load, plain
from recipes.guide.judge import is_refusal, passes
from recipes.guide.noise import normal

from recipes.guide import memory, sums

Rows = list[dict[str, Any]]
SAMPLE = 12_000


@pytest.fixture(scope="module")
def yardstick() -> Rows:
    return list(heldout(0))


@pytest.fixture(scope="module")
def rows(yardstick: Rows) -> Rows:
    return list(islice(train(0, never_trained(yardstick)), SAMPLE))


def _answer(row: dict[str, Any]) -> str:
    return str(row["messages"][-1]["content"])


def test_the_same_seed_gives_the_same_bytes(tmp_path: Path, yardstick: Rows, rows: Rows) -> None:
    again = list(heldout(0))
    assert again == yardstick
    assert list(islice(train(0, never_trained(again)), 500)) == rows[:500]
    assert list(islice(train(1, set()), 50)) != rows[:50]
    written = [tmp_path / name for name in ("one", "two")]
    assert [write(path, yardstick) for path in written] == [len(yardstick)] * 2
    assert len({hashlib.sha256(path.read_bytes()).hexdigest() for path in written}) == 1
    assert json.loads(written[0].read_text(encoding="utf-8").splitlines()[0]) == yardstick[0]


def test_training_never_sees_a_question_or_wording_of_the_yardstick(yardstick: Rows, rows: Rows) -> None:
    kept = never_trained(yardstick)
    asked = {normal(m["content"]) for row in rows for m in row["messages"] if m["role"] == "user"}
    assert len(asked) > SAMPLE / 2
    assert not asked & kept
    assert not {row["template"] for row in rows} & {row["template"] for row in yardstick}
    assert all("held" in row["template"] for row in yardstick)


@pytest.mark.parametrize("lang", LANGS)
def test_shared_wordings_of_training_and_yardstick_differ(lang: str) -> None:
    for fact in load(lang):
        trained = {normal(text) for _, text in (*fact.wordings.train, *fact.wordings.framed)}
        held = {normal(text) for _, text in fact.wordings.held}
        assert not trained & held, (fact.id, trained & held)


def test_every_fact_speaks_both_languages_and_has_wordings_on_both_sides() -> None:
    facts = {lang: load(lang) for lang in LANGS}
    assert [fact.id for fact in facts["en"]] == [fact.id for fact in facts["zh"]]
    for fact in (fact for lang in LANGS for fact in facts[lang]):
        assert fact.wordings.train, fact.id
        assert fact.wordings.held, fact.id
        chinese = any("\u4e00" <= letter <= "\u9fff" for letter in plain(fact.marked[0]))
        assert chinese is (fact.lang == "zh"), (fact.id, fact.lang)


def test_the_yardstick_covers_every_written_fact_in_both_languages(yardstick: Rows) -> None:
    measured = {(row["lang"], row["fact"]) for row in yardstick}
    assert {(lang, fact.id) for lang in LANGS for fact in load(lang)} <= measured
    share = Counter((row["kind"], row["lang"]) for row in yardstick)
    assert all(share["fact", lang] > 600 and share["refusal", lang] > 200 for lang in LANGS)
    assert all(share["followup", lang] > 150 and share["arithmetic", lang] > 100 for lang in LANGS)


def test_the_judge_accepts_every_gold_answer(yardstick: Rows, rows: Rows) -> None:
    for row in yardstick + rows:
        assert passes(_answer(row), row["key"]), row
        if row["kind"] == "refusal":
            assert is_refusal(_answer(row), row["lang"])
        elif row["kind"] in ("fact", "greeting", "arithmetic"):
            assert not is_refusal(_answer(row), row["lang"]), row


def test_the_judge_rejects_the_answers_of_other_facts(yardstick: Rows) -> None:
    """Shuffled within kind and language, hardly any answer passes: the yardstick tells facts apart."""
    for kind in ("fact", "arithmetic", "followup"):
        for lang in LANGS:
            chosen = [row for row in yardstick if (row["kind"], row["lang"]) == (kind, lang)]
            shifted = chosen[17:] + chosen[:17]
            wrong = [pair for pair in zip(chosen, shifted, strict=True) if pair[0]["fact"] != pair[1]["fact"]]
            passed = sum(passes(_answer(other), row["key"]) for row, other in wrong)
            assert passed <= 0.03 * len(wrong) + 2, (kind, lang, passed, len(wrong))


def test_a_row_has_the_shape_the_trainer_reads(rows: Rows) -> None:
    for row in rows:
        roles = [message["role"] for message in row["messages"]]
        turns = roles[1:] if roles[0] == "system" else roles
        assert turns == ["user", "assistant"] * (len(turns) // 2)
        assert 1 <= len(turns) // 2 <= 5
        assert all(message["content"].strip() for message in row["messages"])
        assert row["lang"] in LANGS
        assert row["kind"] in {"fact", "arithmetic", "followup", "greeting", "refusal"}
        text = " ".join(message["content"] for message in row["messages"])
        assert not any(mark in text for mark in ("{", "}", "<", ">")), text


def test_both_languages_and_thinking_are_in_the_mix(rows: Rows) -> None:
    langs = Counter(row["lang"] for row in rows)
    assert abs(langs["en"] - langs["zh"]) < 0.05 * len(rows)
    thinking = sum(any("reasoning" in message for message in row["messages"]) for row in rows)
    assert 0.03 < thinking / len(rows) < 0.25


def test_sums_are_right_and_the_kept_back_pairs_are_kept_back(yardstick: Rows, rows: Rows) -> None:
    signs = {"+": lambda a, b: a + b, "-": lambda a, b: a - b, "×": lambda a, b: a * b, "/": lambda a, b: a // b}
    for row in yardstick + rows:
        if row["kind"] != "arithmetic":
            continue
        a, sign, b, _, result = _answer(row).rstrip(".。").split()
        assert signs[sign](int(a), int(b)) == int(result)
        if sign in "+-":
            assert sums.kept_back(int(a), int(b)) is ("held" in row["template"])


def test_reasoning_of_sums_ends_in_the_result() -> None:
    for a in range(100):
        for b in range(a + 1):
            assert sums.work("add", a, b, a + b).endswith(str(a + b))
            assert sums.work("subtract", a, b, a - b).endswith(f"= {a - b}")


def test_memory_follows_its_rule() -> None:
    assert memory.number(7 * 4 / 8) == "3.5"
    assert memory.number(70.0) == "70"
    for gigabytes, (size, bits, _) in memory.CHOICES.items():
        assert float(size[:-1]) * bits / 8 <= 0.6 * gigabytes
        assert memory.fits(float(size[:-1]), gigabytes)


def test_marks_of_an_answer() -> None:
    assert key_of(["about <3.5 GB|3.5GB>", "it is <3.50 GB>"]) == [["3.5 GB", "3.50 GB", "3.5GB"]]
    assert plain("use <`--bits> 4` or <a|b>") == "use `--bits 4` or a"
    with pytest.raises(ValueError, match="same number"):
        key_of(["<one>", "none"])
