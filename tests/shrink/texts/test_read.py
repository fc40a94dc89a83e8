"""A person's own text, in the forms it comes in."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penjing.shrink.texts.faults import NoSuchText, NotAText, NotUnicode
from penjing.shrink.texts.known import builtin, texts
from penjing.shrink.texts.read import pieces, read
from penjing.shrink.texts.text import Turn

ASKED, TOLD = "What is 2 + 2?", "4"
TALK = (Turn("user", ASKED), Turn("assistant", TOLD))


def written(folder: Path, name: str, content: str | bytes) -> Path:
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


@pytest.mark.parametrize(
    "line",
    [
        {"messages": [{"role": "user", "content": ASKED}, {"role": "assistant", "content": TOLD}]},
        {"conversations": [{"from": "human", "value": ASKED}, {"from": "gpt", "value": TOLD}], "id": "x"},
        {"instruction": ASKED, "input": "", "output": TOLD},
        {"prompt": ASKED, "completion": TOLD},
        {"prompt": ASKED, "response": TOLD},
        {"question": ASKED, "answer": TOLD, "lang": "en"},
    ],
)
def test_a_conversation_in_the_usual_forms(tmp_path: Path, line: dict[str, object]) -> None:
    (found,) = read(written(tmp_path, "talk.jsonl", json.dumps(line))).documents
    assert found.turns == TALK
    assert found.language == line.get("lang", "")


def test_alpaca_with_an_input_and_a_system_message(tmp_path: Path) -> None:
    line = {"system": "Be brief.", "instruction": "Add.", "input": "2 and 2", "output": "4"}
    (found,) = read(written(tmp_path, "talk.jsonl", json.dumps(line))).documents
    assert found.turns == (Turn("system", "Be brief."), Turn("user", "Add.\n\n2 and 2"), Turn("assistant", "4"))


def test_prose_and_a_folder_of_all(tmp_path: Path) -> None:
    written(tmp_path, "b.txt", "\ufeffone\n\ntwo\r\n\r\n" + "x" * 5000)
    written(tmp_path, "a.jsonl", '{"text": "three"}\n\n{"text": "four"}\n')
    written(tmp_path, "picture.png", b"\x89PNG")
    found = read(tmp_path)
    assert [each.plain[:10] for each in found.documents] == ["three", "four", "one\n\ntwo", "x" * 10]
    assert found.name == tmp_path.name
    assert texts(str(tmp_path)) == (found,)


@given(st.lists(st.text(alphabet="ab\n", min_size=1, max_size=30), max_size=8), st.integers(1, 40))
def test_pieces_lose_nothing_but_white_space(parts: list[str], size: int) -> None:
    whole = "\n\n".join(parts)
    found = pieces(whole, size)
    assert "".join("".join(found).split()) == "".join(whole.split())
    assert all(each.strip() for each in found)


@pytest.mark.parametrize(
    ("name", "content", "line", "detail"),
    [
        ("a.txt", b"one\ntwo\n\xff", 3, "not UTF-8"),
        ("a.txt", b"one\n\0", 2, "binary"),
        ("a.txt", b"  \n\n", 1, "empty"),
        ("a.jsonl", b'{"text": "a"}\nnonsense', 2, "malformed"),
        ("a.jsonl", b'{"text": "a"}\n{"word": "b"}', 2, "none of"),
        ("a.jsonl", b'{"text": 5}', 1, "Expected"),
        ("a.jsonl", b'{"messages": ' + b"[" * 100_000, 1, "no text that can be used"),
    ],
)
def test_what_is_no_text_is_told_with_its_line(
    tmp_path: Path, name: str, content: bytes, line: int, detail: str
) -> None:
    with pytest.raises(NotAText, match=detail) as told:
        read(written(tmp_path, name, content))
    assert told.value.facts["line"] == line


@pytest.mark.parametrize(
    ("content", "encoding"),
    [
        ("盆景，一盘之中的山水".encode("gb18030"), "GB18030"),
        ("A tray of hills".encode("utf-16"), "UTF-16"),
        ("déjà ü".encode("cp1252"), "WINDOWS-1252"),
    ],
)
def test_other_encodings_are_told_with_what_makes_them_utf_8(tmp_path: Path, content: bytes, encoding: str) -> None:
    with pytest.raises(NotUnicode) as told:
        read(written(tmp_path, "a.txt", content))
    assert f"iconv -f {encoding} -t UTF-8" in told.value.advice("en")


def test_what_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(NoSuchText, match="nowhere"):
        texts("nowhere")
    with pytest.raises(NotAText, match=r"\.txt, \.md or \.jsonl"):
        read(tmp_path)


def test_the_digest_is_of_what_is_said(tmp_path: Path) -> None:
    one = read(written(tmp_path, "a.jsonl", '{"text": "x"}'))
    two = read(written(tmp_path, "b.jsonl", '{"text":"x","source":"elsewhere"}'))
    three = read(written(tmp_path, "c.jsonl", '{"text": "y"}'))
    assert one.digest == two.digest != three.digest


@pytest.mark.parametrize("name", ["calibration", "heldout", "yardstick"])
def test_the_built_in_texts_speak_both_languages(name: str) -> None:
    english, chinese = builtin(name)
    assert (english.name, chinese.name) == (f"{name}.en", f"{name}.zh")
    assert min(len(english.documents), len(chinese.documents)) > 40
    assert sum("\u4e00" <= letter <= "\u9fff" for letter in "".join(each.plain for each in chinese.documents)) > 10_000


def test_nothing_that_judges_is_calibrated_on() -> None:
    used = {each.plain for part in builtin("calibration") for each in part.documents}
    questions = {turn.content for part in builtin("calibration") for each in part.documents for turn in each.turns[:-1]}
    for name in ("heldout", "yardstick"):
        for part in builtin(name):
            assert not used & {each.plain for each in part.documents}
            asked = {each.turns[-2].content for each in part.documents if len(each.turns) == 2}
            assert not asked & questions
