from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penjing.shrink.finetune.faults import BadExample, NoSuchData
from penjing.shrink.finetune.rows import ROLES, read

CHAT = {"messages": [{"role": "user", "content": "Q"}, {"role": "assistant", "content": "A"}]}
ALPACA = {"instruction": "Add.", "input": "1 1", "output": "2"}


def written(path: Path, *lines: Any) -> Path:
    path.write_text("\n".join(line if isinstance(line, str) else json.dumps(line) for line in lines), encoding="utf-8")
    return path


def test_every_form_and_where_it_stands(tmp_path: Path) -> None:
    path = written(tmp_path / "a.jsonl", CHAT, "", {**ALPACA, "id": 7}, {"text": "prose"})
    chat, alpaca, prose = read([path])
    assert [row.line for row in (chat, alpaca, prose)] == [1, 3, 4]
    assert [message["content"] for message in chat.messages] == ["Q", "A"]
    assert [message["content"] for message in alpaca.messages] == ["Add.\n\n1 1", "2"]
    assert prose.text == "prose"


def test_an_array_is_read_like_lines(tmp_path: Path) -> None:
    path = tmp_path / "alpaca.json"
    path.write_text("\ufeff" + json.dumps([ALPACA, CHAT, ALPACA], indent=1))
    rows = read([path])
    assert [row.line for row in rows] == [2, 7, 19]
    path.write_text('[{"text": "a"},\n {"text": 3}]')
    with pytest.raises(BadExample, match=r"line 2: its text is a number"):
        read([path])


def test_messages_keep_what_templates_know(tmp_path: Path) -> None:
    call = {"role": "assistant", "content": None, "tool_calls": [{"function": {"name": "f", "arguments": "{}"}}]}
    told = [
        {"role": "developer", "content": [{"type": "text", "text": "Be "}, {"type": "text", "text": "brief."}]},
        {"role": "user", "content": "Q", "weight": 0},
        call,
        {"role": "tool", "content": "7", "tool_call_id": "1"},
        {"role": "assistant", "content": "A", "reasoning_content": "hm"},
        {"role": "user", "content": "nobody answered"},
    ]
    (row,) = read([written(tmp_path / "a.jsonl", {"messages": told, "tools": [{"type": "function"}]})])
    assert row.messages[0] == {"role": "system", "content": "Be brief."}
    assert row.messages[1] == {"role": "user", "content": "Q"}
    assert row.messages[2]["tool_calls"] == call["tool_calls"]
    assert row.messages[-1]["reasoning_content"] == "hm"
    assert row.tools == ({"type": "function"},)


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("{", "this is no JSON"),
        ("[" * 100_000, "this is no JSON"),
        ("3", "a JSON object"),
        ({}, "it has none of messages, instruction, text"),
        ({"prompt": "a"}, "it has: prompt"),
        ({"messages": []}, "messages is not a list with messages"),
        ({"messages": [3]}, r"messages\[0\] is a number"),
        ({"messages": [{"role": "usr", "content": "a"}]}, r"messages\[0\].role is 'usr'"),
        ({"messages": [{"role": "user", "content": "a"}]}, "no message is from the assistant"),
        ({"messages": [{"role": "assistant", "content": ""}]}, r"messages\[0\] \(assistant\) says nothing"),
        ({"messages": [{"role": "assistant", "content": {"a": 1}}]}, "content is an object"),
        ({"messages": [{"role": "user", "content": [{"type": "image_url"}]}]}, "parts that are not text"),
        ({"messages": CHAT["messages"], "tools": "f"}, "tools is text"),
        ({"instruction": "a", "output": ""}, "its output is empty"),
        ({"instruction": "", "input": "", "output": "a"}, "its instruction is empty"),
        ({"instruction": 3, "output": "a"}, "its instruction is a number"),
        ({"text": "  "}, "its text is empty"),
    ],
)
def test_what_is_wrong_is_told_with_file_and_line(tmp_path: Path, line: Any, told: str) -> None:
    path = written(tmp_path / "bad.jsonl", CHAT, line)
    with pytest.raises(BadExample, match=rf"bad.jsonl, line 2: .*{told}"):
        read([path])


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    for path in (tmp_path / "absent.jsonl", tmp_path):
        with pytest.raises(NoSuchData):
            read([path])
    with pytest.raises(NoSuchData, match="empty"):
        read([written(tmp_path / "empty.jsonl", "", "")])
    (tmp_path / "latin.jsonl").write_bytes(b'{"text": "a"}\n{"text": "\xe9"}')
    with pytest.raises(BadExample, match="line 2"):
        read([tmp_path / "latin.jsonl"])


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=4) | st.sampled_from(ROLES),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["role", "content", "messages", "type", "text", "instruction", "output"]), inner
        )
    ),
    max_leaves=12,
)


@given(VALUES)
def test_whatever_stands_there_is_an_example_or_told(tmp_path_factory: pytest.TempPathFactory, value: Any) -> None:
    path = written(tmp_path_factory.getbasetemp() / "any.jsonl", value)
    try:
        rows = read([path])
    except (BadExample, NoSuchData):
        return
    for row in rows:
        assert row.text or row.messages[-1]["role"] == "assistant"


def test_what_is_wrong_is_told_in_chinese_too(tmp_path: Path) -> None:
    path = written(tmp_path / "a.jsonl", {"messages": [{"role": "user", "content": 3}]})
    with pytest.raises(BadExample) as caught:
        read([path])
    assert caught.value.message("zh") == f"{path}，第 1 行：messages[0].content 是数值，而不是文字。"
    assert caught.value.message("en").endswith("line 1: messages[0].content is a number, not text.")
