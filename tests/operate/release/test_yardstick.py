from __future__ import annotations

import json
from importlib import resources
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penjing.manifest import Manifest
from penjing.operate.release.yardstick import NAME, NotAYardstick, Question, holds, of_version, read, said
from penjing.store.versions import Store


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


def test_an_answer_that_is_shown_is_not_put(tmp_path: Path) -> None:
    messages = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]
    (found,) = read(written(tmp_path, {"messages": messages, "key": [["b"]], "lang": "en", "more": 1}))
    body = json.loads(found.body("m"))
    assert body["messages"] == messages[:1]
    assert (body["temperature"], body["model"]) == (0, "m")


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


def test_whose_questions(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    model = tmp_path / "m.gguf"
    model.write_bytes(b"GGUF")
    own = written(tmp_path, {"question": "own", "key": [["x"]]})
    plain = store.add({"m.gguf": model}, Manifest(name="plain", version=""))
    guide = store.add({"m.gguf": model}, Manifest(name="guide", version=""))
    its = store.add({"m.gguf": model, NAME: own}, Manifest(name="its", version=""))
    general = read(Path(str(resources.files("penjing") / "data" / NAME)))
    assert of_version(plain, "") == general
    assert len(general) >= 40
    assert len(of_version(guide, "")) > 2000
    assert [each.question for each in of_version(its, "")] == ["own"]
    assert [each.question for each in of_version(plain, str(own))] == ["own"]


def test_what_an_engine_said() -> None:
    assert said(b'{"choices": [{"message": {"content": "yes"}}]}') == "yes"
    assert said(b'{"choices": [{"message": {"content": null}}]}') == said(b"nonsense") == said(b"{}") == ""
