"""What is a question, and what is right."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penjing.shrink.evaluate.questions import NotAYardstick, Question, holds, read


def written(folder: Path, *lines: object) -> Path:
    path = folder / "questions.jsonl"
    path.write_text("\n".join(each if isinstance(each, str) else json.dumps(each) for each in lines), encoding="utf-8")
    return path


def test_right_and_wrong() -> None:
    question = Question(question="?", key=(("four", "4"), ("apples",)), without=("five",))
    assert question.right("He has 4 Apples.")
    assert not question.right("He has 14 apples.")
    assert not question.right("He has four.")
    assert not question.right("He has 4 apples, or five.")


@given(st.text(min_size=1), st.text(), st.text())
def test_what_is_in_an_answer_is_found_but_within_numbers(words: str, before: str, after: str) -> None:
    if words.lower() in (before + words + after).lower():  # Unicode: the lower case of two may not be theirs
        assert holds(f"{before} {words} {after}", words)


@pytest.mark.parametrize(
    ("lines", "line", "detail"),
    [
        ((), 1, "empty"),
        (('{"question": "a", "key": [["b"]]}', "nonsense"), 2, "malformed"),
        (({"question": "a"},), 1, "no key"),
        (({"question": "a", "key": [[]]},), 1, "no key"),
        (({"question": "a", "key": [[""]]},), 1, "no key"),
        (({"key": [["b"]]},), 1, "neither"),
        (({"messages": [{"role": "assistant", "content": "b"}], "key": [["b"]]},), 1, "neither"),
        (('{"key": ' + "[" * 100_000,), 1, "no question with a key"),
    ],
)
def test_what_is_no_yardstick_is_told(tmp_path: Path, lines: tuple[object, ...], line: int, detail: str) -> None:
    with pytest.raises(NotAYardstick) as told:
        read(written(tmp_path, *lines))
    assert told.value.facts["line"] == line
    assert detail in str(told.value).lower()


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(NotAYardstick, match="No such file"):
        read(tmp_path / "nothing")


@pytest.mark.parametrize(
    ("line", "right", "wrong"),
    [
        ({"answer": "Paris"}, "It is paris.", "London"),
        ({"answer": ["no", "never"]}, "Never!", "yes"),
        ({"answer": 42}, "That makes 42.", "That makes 142."),
        ({"answer": "Paris", "match": "exact"}, " 'paris'.", "It is Paris."),
        ({"answer": "５ %", "match": "exact"}, "5 %", "5"),
        ({"key": [["12"]]}, "<think>\nperhaps 13\n</think>\n\n12", "<think>12</think>13"),
    ],
)
def test_answers_in_words(tmp_path: Path, line: dict[str, object], right: str, wrong: str) -> None:
    (found,) = read(written(tmp_path, {"question": "?", **line}))
    assert found.right(right)
    assert not found.right(wrong)


@pytest.mark.parametrize("answer", [1, "B", "b", "blue", ["blue"]])
def test_a_choice_is_named_in_several_ways(tmp_path: Path, answer: object) -> None:
    (found,) = read(written(tmp_path, {"question": "?", "choices": ["red", "blue"], "answer": answer}))
    assert found.meant == 1


@pytest.mark.parametrize("answer", [2, -1, "C", "green", ["red", "blue"]])
def test_a_choice_that_is_none_is_told(tmp_path: Path, answer: object) -> None:
    with pytest.raises(NotAYardstick, match="none of its choices"):
        read(written(tmp_path, {"question": "?", "choices": ["red", "blue"], "answer": answer}))


def test_the_line_of_a_choice_that_cannot_be_put(tmp_path: Path) -> None:
    lines = ({"question": "a", "key": [["b"]]}, "", {"question": "a", "choices": ["b", "c"], "answer": "b"})
    with pytest.raises(NotAYardstick, match=r"line 3.*likelihoods"):
        read(written(tmp_path, *lines), likelihoods=False)


def test_questions_built_by_hand_need_no_file() -> None:
    assert Question(question="?", answer=("yes",)).right("Yes.")
