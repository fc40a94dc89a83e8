"""The document says what the server does."""

from __future__ import annotations

import json
import re
from typing import Any

from penjing.gateway.dialects.openai import wire
from penjing.gateway.dialects.table import Table
from penjing.gateway.openapi import document
from penjing.gateway.pages import PAGES

TABLE = Table()
DOCUMENT: dict[str, Any] = json.loads(document(TABLE))


def references(value: Any) -> list[str]:
    if isinstance(value, dict):
        own = [value["$ref"]] if isinstance(value.get("$ref"), str) else []
        return own + [each for inner in value.values() for each in references(inner)]
    return [each for inner in value for each in references(inner)] if isinstance(value, list) else []


def test_every_path_is_in_it() -> None:
    assert set(DOCUMENT["paths"]) == {
        *TABLE.endpoints,
        *(path.replace("/*", "/{name}") for path in TABLE.pages),
        *PAGES,
    }
    for path, item in DOCUMENT["paths"].items():
        for operation in item.values():
            assert set(re.findall(r"{(\w+)}", path)) == {each["name"] for each in operation.get("parameters", [])}
            assert operation["responses"]["200"]["description"]


def test_identities_are_unique() -> None:
    identities = [operation["operationId"] for item in DOCUMENT["paths"].values() for operation in item.values()]
    assert len(identities) == len(set(identities))


def test_every_reference_leads_somewhere() -> None:
    for reference in references(DOCUMENT):
        place: Any = DOCUMENT
        for step in reference.removeprefix("#/").split("/"):
            place = place[step]
        assert place


def test_bodies_are_the_ones_that_are_checked() -> None:
    body = DOCUMENT["components"]["schemas"]["ChatBody"]
    assert set(body["properties"]) == set(wire.names(wire.ChatBody))
    assert body["required"] == ["messages"]
    assert body["additionalProperties"] is False
