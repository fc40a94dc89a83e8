"""Penjing's scheduler on a library that was compiled here: grammars are GBNF there, and llguidance's in the wheel."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from engines.clients import answer, connected
from engines.llamacpp.scheduler.test_served import HELLO, QUESTION, TOOLS, WEATHER
from engines.llamacpp.scheduler.test_tools import FAMILIES, heard
from engines.native import compiled, needs_native
from penjing.engines.llamacpp import EngineOptions, LlamaCpp

pytestmark = needs_native
TESTS = Path(__file__).parents[3]
SCHEMA = {
    "type": "object",
    "properties": {"n": {"type": "integer", "minimum": 10, "maximum": 12}, "s": {"enum": ["a", "b"]}},
    "required": ["n", "s"],
    "additionalProperties": False,
}
NUMBER = {"type": "json_schema", "json_schema": {"name": "n", "schema": SCHEMA}}


@pytest.fixture
def native(own_home: Path) -> str:
    """The name of a native library that the test's own home has."""
    library = compiled()
    (own_home / "native").mkdir(parents=True)
    (own_home / "native" / library.name).symlink_to(library.path.parent)
    return library.name


def test_calls_of_every_family_are_bound_by_gbnf() -> None:
    library = compiled()
    command = (sys.executable, "-m", "engines.llamacpp.scheduler.bound", str(library.path), library.version)
    environment = {**os.environ, "PYTHONPATH": str(TESTS)}
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment, timeout=120)
    told: dict[str, str] = json.loads(done.stdout)
    assert set(told) == set(FAMILIES)
    for name, said in told.items():
        content, calls = heard(FAMILIES[name], said, [])
        assert content == "", said
        assert [call.name for call in calls] == ["f"], said
        assert set(json.loads(calls[0].arguments)) <= {"a"}


async def test_it_answers_as_the_wheels_and_keeps_to_schemas(guide: Path, native: str) -> None:
    bodies: list[dict[str, Any]] = [
        {"messages": QUESTION, "temperature": 0},
        {"messages": HELLO, "temperature": 0, "response_format": NUMBER, "max_tokens": 60},
        {"messages": WEATHER, "temperature": 0, "tools": TOOLS, "tool_choice": "required", "max_tokens": 200},
        {"messages": HELLO, "temperature": 0, "grammar": 'root ::= "penjing" " "? [0-9]{3}', "max_tokens": 20},
    ]
    one = LlamaCpp(guide, "guide", EngineOptions(threads=1, library=native, max_context=512, parallel=1))
    await one.start()
    try:
        assert one.derived is not None
        assert one.derived.settings.scheduler == "penjing"  # of itself: the other has no place for a native library
        async with connected(one.address) as client:
            plain, schema, call, grammar = [(await answer(client, **body))["choices"][0] for body in bodies]
    finally:
        await one.stop()
    assert "KV cache" in plain["message"]["content"]
    found = json.loads(schema["message"]["content"])
    assert 10 <= found["n"] <= 12
    assert found["s"] in ("a", "b")
    assert call["finish_reason"] == "tool_calls"
    assert call["message"]["tool_calls"][0]["function"]["name"] == "get_weather"
    assert "city" in json.loads(call["message"]["tool_calls"][0]["function"]["arguments"])
    assert grammar["message"]["content"].startswith("penjing")
