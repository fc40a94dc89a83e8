from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penjing.cli.chat import conversation
from penjing.cli.chat.conversation import Conversation, ConversationUnreadable, load, path_of, said, save
from penjing.errors import InputError, PenjingError

ROLES = st.sampled_from(["user", "assistant"])
TURNS = st.lists(st.builds(said, ROLES, st.text(st.characters(codec="utf-8"))), max_size=5)


def spoken(*texts: str) -> Conversation:
    found = Conversation()
    for place, text in enumerate(texts):
        found.add("assistant" if place % 2 else "user", text)
    return found


def test_the_system_message_comes_first_and_can_go() -> None:
    talk = spoken("a", "b")
    talk.system = "be kind"
    talk.system = "be short"
    assert [turn["role"] for turn in talk.wire()] == ["system", "user", "assistant"]
    assert talk.wire()[0]["content"] == "be short"
    talk.clear()
    assert talk.wire() == [{"role": "system", "content": "be short"}]
    talk.system = ""
    assert talk.wire() == []


def test_questions_in_a_row_are_asked_as_one() -> None:
    talk = spoken("a", "b", "c")
    talk.add("user", "d")
    assert [(turn["role"], turn["content"]) for turn in talk.wire()] == [
        ("user", "a"),
        ("assistant", "b"),
        ("user", "c\n\nd"),
    ]
    assert talk.take_back() == "d"
    assert talk.wire()[-1] == {"role": "user", "content": "c"}


def test_dropping_the_answer_leaves_the_question() -> None:
    talk = spoken("a", "b", "c", "d")
    assert talk.drop_answer()
    assert [turn["content"] for turn in talk.wire()] == ["a", "b", "c"]
    assert talk.drop_answer()
    assert not Conversation().drop_answer()


def test_taking_back_returns_the_question() -> None:
    talk = spoken("a", "b", "c", "d")
    assert talk.take_back() == "c"
    assert talk.take_back() == "a"
    assert talk.take_back() == ""


@given(TURNS)
def test_what_was_saved_is_loaded(tmp_path_factory: pytest.TempPathFactory, turns: list[conversation.Message]) -> None:
    path = tmp_path_factory.mktemp("chat") / "a.json"
    save(Conversation(list(turns)), path, "guide")
    again, model = load(path)
    assert again.messages == turns
    assert model == "guide"


def test_the_file_is_what_openai_takes(clean: Path) -> None:
    path = save(spoken("你好", "hi"), path_of("a"), "guide")
    assert path == clean / "chats" / "a.json"
    assert json.loads(path.read_text(encoding="utf-8"))["messages"] == [
        {"role": "user", "content": "你好"},
        {"role": "assistant", "content": "hi"},
    ]
    assert "你好" in path.read_text(encoding="utf-8")
    assert conversation.names() == ["a"]
    assert [entry.name for entry in path.parent.iterdir()] == ["a.json"]


def test_paths_and_names(clean: Path) -> None:
    assert path_of("talk") == clean / "chats" / "talk.json"
    assert path_of("talk.json") == Path("talk.json")
    assert path_of("./talk") == Path("talk")
    assert path_of("~/talk.json") == Path.home() / "talk.json"


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(InputError, match="file"):
        save(spoken("a"), tmp_path / "file" / "a.json", "guide")


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"messages": 3}', b'{"messages": [{"role": "x"}]}', b"\xff"])
def test_what_is_no_conversation_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a.json"
    path.write_bytes(content)
    with pytest.raises(ConversationUnreadable, match=r"a\.json"):
        load(path)


def test_a_missing_one_says_so(tmp_path: Path) -> None:
    with pytest.raises(ConversationUnreadable, match="No such file"):
        load(tmp_path / "none.json")


@given(st.binary(max_size=60))
def test_any_file_is_a_conversation_or_an_error(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    path = tmp_path_factory.mktemp("chat") / "a.json"
    path.write_bytes(b'{"messages": [' + content + b"]}")
    found: object
    try:
        found = load(path)
    except PenjingError as error:
        found = error
    assert isinstance(found, (tuple, ConversationUnreadable))
