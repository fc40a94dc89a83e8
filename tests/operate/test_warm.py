from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from penjing.operate.warm import CHAT, TEXT, questions


def chat(*texts: str, **more: Any) -> tuple[str, bytes]:
    roles = ("user", "assistant")
    messages = [{"role": roles[place % 2], "content": text} for place, text in enumerate(texts)]
    return CHAT, json.dumps({"messages": messages, **more}).encode()


def read(question: tuple[str, bytes]) -> Any:
    return json.loads(question[1])


def test_a_conversation_is_read_once_as_long_as_it_was_last() -> None:
    asked = [
        chat("a"),
        chat("b"),
        chat("a", "x", "y"),
        (TEXT, b'{"prompt": "Once"}'),
        (TEXT, b'{"prompt": "Once upon"}'),
    ]
    found = [read(each) for each in questions(asked)]
    assert [each.get("prompt") or [m["content"] for m in each["messages"]] for each in found] == [
        ["b"],
        ["a", "x", "y"],
        "Once upon",
    ]


def test_only_reading_is_asked_for() -> None:
    (found,) = questions([chat("a", stream=True, n=3, max_tokens=500, temperature=0.5, max_completion_tokens=9)])
    assert read(found) == {
        "messages": [{"role": "user", "content": "a"}],
        "max_tokens": 1,
        "temperature": 0.5,
        "stream": False,
    }


def test_pinned_prompts_come_first_and_the_latest_last() -> None:
    found = [read(each) for each in questions([chat("a"), chat("b"), chat("c")], ["Be kind."], most=2)]
    assert [each["messages"][0]["content"] for each in found] == ["Be kind.", "b", "c"]


def test_the_same_words_with_other_tools_are_another_prompt() -> None:
    assert len(questions([chat("a"), chat("a", tools=[{"type": "function"}])])) == 2


@given(st.lists(st.tuples(st.sampled_from([CHAT, TEXT, "/v1/embeddings"]), st.binary()), max_size=5))
def test_whatever_was_asked_something_is_asked(recent: list[tuple[str, bytes]]) -> None:
    found = questions(recent)
    assert found
    assert all(read(each)["max_tokens"] == 1 for each in found)
