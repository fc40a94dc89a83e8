"""Each gap is a keyword that the engine takes without a word, so the client is told. What is no gap is enforced."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from gateway.running import Process, finish, launch
from penjing.engines.llamacpp.schema import GAPS

SCHEMAS: dict[str, dict[str, Any]] = {
    "not": {"not": {"type": "string"}},
    "if": {"type": "integer", "if": {"minimum": 5}},
    "then": {"type": "integer", "then": {"minimum": 5}},
    "else": {"type": "integer", "else": {"minimum": 5}},
    "multipleOf": {"type": "integer", "multipleOf": 7},
    "uniqueItems": {"type": "array", "items": {"type": "integer"}, "uniqueItems": True},
    "contains": {"type": "array", "items": {"type": "integer"}, "contains": {"const": 3}},
    "minContains": {"type": "array", "items": {"type": "integer"}, "minContains": 2},
    "maxContains": {"type": "array", "items": {"type": "integer"}, "maxContains": 2},
    "patternProperties": {"type": "object", "patternProperties": {"^a": {"type": "integer"}}},
    "propertyNames": {"type": "object", "propertyNames": {"const": "zz"}},
    "minProperties": {"type": "object", "properties": {"a": {"type": "integer"}}, "minProperties": 1},
    "maxProperties": {"type": "object", "maxProperties": 0},
    "dependentRequired": {"type": "object", "dependentRequired": {"a": ["b"]}},
    "dependentSchemas": {"type": "object", "dependentSchemas": {"a": {"required": ["b"]}}},
    "unevaluatedItems": {"type": "array", "unevaluatedItems": False},
    "unevaluatedProperties": {"type": "object", "unevaluatedProperties": False},
    "unanchored pattern": {"type": "string", "pattern": "[ab]{3}"},
    "number.minimum": {"type": "number", "minimum": 5},
    "number.maximum": {"type": "number", "maximum": 5},
    "number.exclusiveMinimum": {"type": "number", "exclusiveMinimum": 5},
    "number.exclusiveMaximum": {"type": "number", "exclusiveMaximum": 5},
}


@pytest.fixture(scope="module")
def server() -> Iterator[Process]:
    started = launch("--parallel", "1", "--max-context", "512")
    yield started
    finish(started)


def asked(server: Process, schema: dict[str, Any], strict: bool) -> httpx.Response:
    form = {"type": "json_schema", "json_schema": {"name": "s", "schema": schema, "strict": strict}}
    body = {"messages": [{"role": "user", "content": "Write."}], "response_format": form, "max_tokens": 120}
    return httpx.post(f"{server.base}/chat/completions", json=body, timeout=60)


def test_every_gap_is_shown() -> None:
    assert set(SCHEMAS) == GAPS


@pytest.mark.parametrize("gap", sorted(SCHEMAS))
def test_the_engine_takes_it_and_the_client_is_told(server: Process, gap: str) -> None:
    answer = asked(server, SCHEMAS[gap], strict=False)
    assert answer.status_code == 200, answer.text
    assert gap.rpartition(".")[2].rpartition(" ")[2] in answer.headers["x-penjing-schema"]
    refused = asked(server, SCHEMAS[gap], strict=True)
    assert refused.status_code == 400
    assert "cannot enforce" in refused.json()["error"]["message"]


ENFORCED: list[tuple[dict[str, Any], Any]] = [
    ({"type": "integer", "minimum": 500, "maximum": 600}, lambda said: 500 <= said <= 600),
    ({"enum": ["red", "blue"]}, lambda said: said in ("red", "blue")),
    ({"type": "array", "items": {"type": "boolean"}, "minItems": 2, "maxItems": 3}, lambda said: 2 <= len(said) <= 3),
    ({"type": "string", "maxLength": 4}, lambda said: len(said) <= 4),
    ({"type": "string", "pattern": "^[ab]{3}$"}, lambda said: set(said) <= {"a", "b"} and len(said) == 3),
    ({"type": "string", "format": "date"}, lambda said: len(said) == 10),
    ({"anyOf": [{"const": 1}, {"const": 2}]}, lambda said: said in (1, 2)),
    ({"type": "object", "properties": {"a": {"type": "null"}}, "required": ["a"]}, lambda said: said == {"a": None}),
]


@pytest.mark.parametrize(("schema", "holds"), ENFORCED)
def test_what_is_no_gap_is_enforced(server: Process, schema: dict[str, Any], holds: Any) -> None:
    answer = asked(server, schema, strict=True)
    assert answer.status_code == 200, answer.text
    assert "x-penjing-schema" not in answer.headers
    assert holds(json.loads(answer.json()["choices"][0]["message"]["content"]))
