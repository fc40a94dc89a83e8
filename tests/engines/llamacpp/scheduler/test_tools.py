from __future__ import annotations

import json
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penjing.engines.llamacpp.scheduler.tools import Call, Calls, known, read, required
from penjing.errors import InvalidRequest


def heard(text: str, cuts: list[int]) -> tuple[str, list[Call]]:
    """Content and calls of `text` that comes in pieces."""
    places = sorted({0, len(text), *(cut % (len(text) + 1) for cut in cuts)})
    splitter, content, calls = Calls(), "", list[Call]()
    for start, end in pairwise(places):
        more, found = splitter.split(text[start:end], last=False)
        content, calls = content + more, [*calls, *found]
    more, found = splitter.split("", last=True)
    return content + more, [*calls, *found]


CALL = '<tool_call>\n{"name": "f", "arguments": {"a": "<盆>"}}\n</tool_call>'
TEXTS = {
    "Well.": ("Well.", 0),
    CALL: ("", 1),
    f"Let me see.\n{CALL}": ("Let me see.", 1),
    f"{CALL}\n{CALL}": ("", 2),
    "<tool_call>no json</tool_call>": ("<tool_call>no json</tool_call>", 0),
    "a <tool_ b  ": ("a <tool_ b  ", 0),
    '<tool_call>{"name": "f"': ('<tool_call>{"name": "f"', 0),
    '<tool_call>{"name": "f"}': ("", 1),
}


@pytest.mark.parametrize("text", TEXTS)
@settings(max_examples=15)
@given(cuts=st.lists(st.integers(0, 200), max_size=30))
def test_wherever_it_is_cut(text: str, cuts: list[int]) -> None:
    content, calls = heard(text, cuts)
    assert (content, len(calls)) == TEXTS[text]


def test_a_call() -> None:
    found = read('{"name": "f", "arguments": {"a": 1, "b": "盆"}}')
    assert found is not None
    assert (found.name, found.arguments) == ("f", '{"a": 1, "b": "盆"}')
    for other in ("[]", "{}", '{"name": 1}', '{"name": "f", "arguments": 3}', "null"):
        assert read(other) is None


def test_which_templates() -> None:
    assert known("{% if tools %}<tool_call>")
    assert not known("{{ messages }}")


def test_a_grammar_of_calls() -> None:
    text = required([{"function": {"name": "f", "parameters": {"type": "object"}}}])
    schema = json.loads(text.partition("%json ")[2])
    assert schema["anyOf"][0]["properties"]["name"] == {"const": "f"}
    with pytest.raises(InvalidRequest):
        required([])
