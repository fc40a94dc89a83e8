"""Dialogues with functions: every call fits the function that was offered, and says only what was asked."""

from __future__ import annotations

import json
import re
from collections import Counter
from typing import Any

import pytest
from recipes.guide.calls import HELD_OUT, Maker, fill, offer
from recipes.guide.judge import same_call

TYPES = {"string": str, "integer": int, "number": (int, float), "boolean": bool}
CALL = re.compile(r"<tool_call>\n(.*)\n</tool_call>", re.DOTALL)


def dialogues(count: int) -> list[dict[str, Any]]:
    maker = Maker(5, [])
    return [maker.record() for _ in range(count)]


@pytest.fixture(scope="module")
def rows() -> list[dict[str, Any]]:
    return dialogues(2000)


def offered(row: dict[str, Any]) -> dict[str, Any]:
    tools = re.search(r"<tools>\n(.*)\n</tools>", row["messages"][0]["content"], re.DOTALL)
    assert tools
    functions = (json.loads(line)["function"] for line in tools[1].splitlines())
    return {function["name"]: function["parameters"] for function in functions}


def called(row: dict[str, Any]) -> dict[str, Any]:
    found = CALL.search(row["messages"][2]["content"])
    assert found
    result: dict[str, Any] = json.loads(found[1])
    return result


def test_every_call_fits_an_offered_function(rows: list[dict[str, Any]]) -> None:
    for row in rows:
        call, schemas = called(row), offered(row)
        schema = schemas[call["name"]]
        assert set(schema.get("required", call["arguments"])) == set(call["arguments"])
        for name, value in call["arguments"].items():
            kind = schema["properties"][name]["type"]
            assert isinstance(value, TYPES[kind]), (name, value, kind)
            assert isinstance(value, bool) is (kind == "boolean")


def test_what_is_called_with_was_said(rows: list[dict[str, Any]]) -> None:
    for row in rows:
        asked = row["messages"][1]["content"]
        for value in called(row)["arguments"].values():
            assert (value if isinstance(value, str) else json.dumps(value)) in asked


def test_calls_have_one_to_four_arguments_of_every_type(rows: list[dict[str, Any]]) -> None:
    counts = Counter(len(called(row)["arguments"]) for row in rows)
    assert set(counts) == {1, 2, 3, 4}
    assert sum(counts[n] for n in (2, 3, 4)) > 0.3 * len(rows)
    kinds = {type(value) for row in rows for value in called(row)["arguments"].values()}
    assert kinds == {str, int, float, bool}


def test_the_same_seed_gives_the_same_dialogues() -> None:
    assert dialogues(50) == dialogues(50)


def test_a_clock_is_offered_as_text() -> None:
    maker = Maker(0, [])
    assert maker._describe("book_table")["function"]["parameters"]["properties"]["time"]["type"] == "string"
    assert offer([]).startswith("Functions you may call:")
    assert fill("{a} and {result.b}", {"a": 1, "result.b": 2}) == "1 and 2"


def test_what_is_held_out_is_never_learned() -> None:
    learned, unseen = Maker(5, []), Maker(5, [], unseen=True)
    asked = {learned._wording(["a", "b", "c"]) for _ in range(50)}
    assert asked == {"a", "c"}
    assert {unseen._wording(["a", "b", "c"]) for _ in range(50)} == {["a", "b", "c"][HELD_OUT]}


def test_a_call_is_the_same_in_another_order_of_its_arguments() -> None:
    wanted = '<tool_call>\n{"name": "add", "arguments": {"a": 1, "b": 2}}\n</tool_call>'
    assert same_call('<tool_call>\n{"arguments": {"b": 2, "a": 1}, "name": "add"}\n</tool_call>', wanted)
    assert not same_call(wanted.replace("1", "3"), wanted)
    assert not same_call("a + b = 3", wanted)
    assert not same_call("<tool_call>\n{broken\n</tool_call>", wanted)
