"""What a JSON schema asks for and an engine would pass over in silence: found here, so that it is said.

Source of the keywords: JSON Schema 2020-12, https://json-schema.org/draft/2020-12/json-schema-validation.

Does not know: which engine passes over what (`Capabilities.schema_gaps`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from penjing.engines.engine import Capabilities
from penjing.errors import InvalidRequest
from penjing.gateway.ask import Ask
from penjing.gateway.dialects.openai import wire

HEADER = "x-penjing-schema"
UNANCHORED = "unanchored pattern"
"""A gap of its own: a `pattern` that does not begin with ^ and end with $ is passed over."""
TOLD = 8
"""Places that are named; a schema that asks for more of the kind is told with the first."""
NAMED = ("properties", "patternProperties", "$defs", "definitions", "dependentSchemas")
"""Keywords that hold schemas by name."""


def tell(ask: Ask, model: Capabilities) -> None:
    """Note in the answer's head what will not be enforced. Raises InvalidRequest where the schema is `strict`."""
    schema, strict = asked(ask.wire)
    if not schema or not model.schema_gaps:
        return
    found = list(dict.fromkeys(gaps(schema, model.schema_gaps)))[:TOLD]
    if found and strict:
        detail = f"response_format: {model.model} cannot enforce {', '.join(found)}; leave it out, or strict."
        raise InvalidRequest(detail=detail, param="response_format")
    if found:
        ask.note(HEADER, f"not enforced: {', '.join(found)}")


def asked(body: wire.AnyBody) -> tuple[Mapping[str, object], bool]:
    """The schema of the answer and whether it is strict."""
    form = getattr(body, "response_format", None)
    if isinstance(form, wire.SchemaFormat):
        return form.json_schema.schema, bool(form.json_schema.strict)
    if isinstance(form, wire.ObjectFormat):
        return form.schema or {}, False
    return getattr(body, "json_schema", None) or {}, False


def gaps(schema: object, known: frozenset[str], path: str = "") -> Iterator[str]:
    """The places in `schema` whose keyword is in `known`: `keyword`, or `type.keyword` where it is passed over for that
    type only."""
    if isinstance(schema, list):
        for each in schema:
            yield from gaps(each, known, path)
    if not isinstance(schema, dict):
        return
    kinds = schema.get("type")
    types = kinds if isinstance(kinds, list) else [kinds]
    for keyword, value in schema.items():
        place = f"{path}.{keyword}".lstrip(".")
        if keyword in known or any(f"{kind}.{keyword}" in known for kind in types):
            yield place
        if keyword == "pattern" and UNANCHORED in known and not _anchored(value):
            yield place
        if keyword in NAMED and isinstance(value, dict):
            for name, inner in value.items():
                yield from gaps(inner, known, f"{path}.{name}")
        elif keyword not in ("const", "enum", "default", "examples"):
            yield from gaps(value, known, place)


def _anchored(pattern: object) -> bool:
    return isinstance(pattern, str) and pattern.startswith("^") and pattern.endswith("$")
