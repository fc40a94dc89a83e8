"""Any split of a text gives the same calls, in the form of every family."""

from __future__ import annotations

import json
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engines.llamacpp.scheduler.bound import bound
from penjing.engines.llamacpp.scheduler import families, forcing
from penjing.engines.llamacpp.scheduler.families import Family
from penjing.engines.llamacpp.scheduler.tools import Call, Calls
from penjing.errors import InvalidRequest
from penjing.native.model import Model
from penjing.store.resolve import guide

FAMILIES = {family.name: family for family in families.families()}
TOOLS = [{"function": {"name": "f", "parameters": {"type": "object", "properties": {"a": {"type": "string"}}}}}]


def heard(family: Family, text: str, cuts: list[int]) -> tuple[str, list[Call]]:
    """Content and calls of `text` that comes in pieces."""
    places = sorted({0, len(text), *(cut % (len(text) + 1) for cut in cuts)})
    splitter, content, calls = Calls(family, TOOLS), "", list[Call]()
    for start, end in pairwise(places):
        more, found = splitter.split(text[start:end], last=False)
        content, calls = content + more, [*calls, *found]
    more, found = splitter.split("", last=True)
    return content + more, [*calls, *found]


ODDLY = '{"a": "<盆> </tool_call> }"}'
HERMES = f'<tool_call>\n{{"name": "f", "arguments": {ODDLY}}}\n</tool_call>'
ODD = '<tool_call>{"name": "f", "arguments": 3}</tool_call>'
CODER = "<function=f>\n<parameter=a>\n1 < 2\n</parameter>\n</function>"
GLM = (
    "See\n<tool_call>f\n<arg_key>a</arg_key>\n<arg_value>1</arg_value>\n"
    "<arg_key>b</arg_key><arg_value>[1, 2]</arg_value>\n</tool_call>"
)
ONE, NONE = '{"a": 1}', "{}"
TWO = '{"name": "f", "parameters": {}}; {"name": "f", "parameters": {"a": 1}}'
DEEP = "<｜tool▁call▁begin｜>function<｜tool▁sep｜>f\n```json\n{}\n```<｜tool▁call▁end｜>"
DEEP31 = f"<｜tool▁call▁begin｜>f<｜tool▁sep｜>{ONE}<｜tool▁call▁end｜>"
TEXTS: list[tuple[str, str, str, list[str]]] = [
    ("hermes", "Well.", "Well.", []),
    ("hermes", HERMES, "", [ODDLY]),
    ("hermes", f"Let me see.\n{HERMES}", "Let me see.", [ODDLY]),
    ("hermes", HERMES + '\n<tool_call>{"name": "g"}</tool_call>\nDone.', "Done.", [ODDLY, NONE]),
    ("hermes", "<tool_call>no json</tool_call> so", "<tool_call>no json</tool_call> so", []),
    ("hermes", ODD, ODD, []),
    ("hermes", "a <tool_ b  ", "a <tool_ b  ", []),
    ("hermes", '<tool_call>{"name": "f"', '<tool_call>{"name": "f"', []),
    ("hermes", '<tool_call>{"name": "f"}', "", [NONE]),
    ("qwen-coder", f"<tool_call>\n{CODER}\n</tool_call>", "", ['{"a": "1 < 2"}']),
    ("qwen-coder", "<function=f>\n</function> <function", "<function", [NONE]),
    ("glm", GLM, "See", ['{"a": "1", "b": [1, 2]}']),
    ("glm-4", f"f\n{ONE}", "", [ONE]),
    ("glm-4", "f\n{1}", "f\n{1}", []),
    ("glm-4", f"function f is\n{ONE}", f"function f is\n{ONE}", []),
    ("llama-3", '{"name": "f", "parameters": {"a": 1}}', "", [ONE]),
    ("llama-3", '{"name": "unknown", "parameters": {}}', '{"name": "unknown", "parameters": {}}', []),
    ("llama-3", f"<|python_tag|>{TWO}", "", [NONE, ONE]),
    ("llama-3", '{"other": 1} text', '{"other": 1} text', []),
    ("mistral", f"[TOOL_CALLS]f[ARGS]{ONE}[TOOL_CALLS]g[CALL_ID]abcdefghi[ARGS]{{}}", "", [ONE, NONE]),
    ("mistral", '[TOOL_CALLS]{"name": "f", "arguments": {}}', "", [NONE]),
    ("mistral-list", '[TOOL_CALLS][{"name": "f", "arguments": {"a": 1}}, {"name": "f"}]', "", [ONE, NONE]),
    ("mistral-list", "so [TOOL", "so [TOOL", []),
    ("deepseek", f"Hm<｜tool▁calls▁begin｜>{DEEP}\n{DEEP}<｜tool▁calls▁end｜>", "Hm", [NONE, NONE]),
    ("deepseek-3.1", f"<｜tool▁calls▁begin｜>{DEEP31}<｜tool▁calls▁end｜>", "", [ONE]),
]


@pytest.mark.parametrize(("name", "text", "content", "arguments"), TEXTS)
@settings(max_examples=15)
@given(cuts=st.lists(st.integers(0, 300), max_size=40))
def test_wherever_it_is_cut(name: str, text: str, content: str, arguments: list[str], cuts: list[int]) -> None:
    for places in (cuts, list(range(len(text)))):
        said, calls = heard(FAMILIES[name], text, places)
        assert said == content
        assert [call.arguments for call in calls] == arguments
        assert len({call.id for call in calls}) == len(calls)


MARKS = {mark for family in FAMILIES.values() for mark in family.marks}
PARTS = [*sorted(MARKS), "f", ONE, '{"name": "f"}', "[]", " "]


@given(
    st.sampled_from(sorted(FAMILIES)),
    st.lists(st.sampled_from(PARTS), max_size=10),
    st.lists(st.integers(0, 300), max_size=9),
)
def test_any_text_is_cut_anywhere(name: str, parts: list[str], cuts: list[int]) -> None:
    text = "".join(parts)
    (whole, calls), (said, found) = heard(FAMILIES[name], text, []), heard(FAMILIES[name], text, cuts)
    assert said == whole
    assert [(call.name, call.arguments) for call in found] == [(call.name, call.arguments) for call in calls]


TEMPLATES = {
    "{% if tools %}<tool_call>": "hermes",
    "{% if tools %}<tool_call><function=x><parameter=": "qwen-coder",
    "{% if tools %}<tool_call><arg_key><arg_value>": "glm",
    "{{ tools }}<|assistant|><|observation|>": "glm-4",
    '{{ tools }}<|start_header_id|> "parameters"': "llama-3",
    "{{ tools }}[TOOL_CALLS]": "mistral-list",
    "{{ tools }}[TOOL_CALLS][ARGS]": "mistral",
    "{{ tools }}<｜tool▁call▁begin｜>```json": "deepseek",
    "{{ tool }}<｜tool▁call▁begin｜><｜tool▁sep｜>": "deepseek-3.1",
    "{{ messages }}": None,
    "<tool_call>": None,
}


@pytest.mark.parametrize("template", TEMPLATES)
def test_which_family(template: str) -> None:
    found = families.of(template)
    assert (found.name if found else None) == TEMPLATES[template]


@pytest.mark.parametrize("name", sorted(FAMILIES))
def test_a_call_that_must_be_is_one(name: str) -> None:
    """A text of the family's form is all that the grammar lets through, whatever the model would say."""
    said = bound(FAMILIES[name])
    content, calls = heard(FAMILIES[name], said, [])
    assert content == "", said
    assert [call.name for call in calls] == ["f"]
    assert set(json.loads(calls[0].arguments)) <= {"a"}


def test_no_tools_no_call() -> None:
    with Model(guide(), vocabulary_only=True) as model, pytest.raises(InvalidRequest):
        forcing.required(FAMILIES["hermes"], [], model)
