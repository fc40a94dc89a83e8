"""What llama.cpp's JSON schema converter (common/json-schema-to-grammar.cpp) passes over without an error.

Each is shown to be taken by tests/engines/llamacpp/test_schema.py, and what is left out here to be enforced.
"""

from __future__ import annotations

GAPS = frozenset(
    {
        *("not", "if", "then", "else", "multipleOf", "uniqueItems", "contains", "minContains", "maxContains"),
        *("patternProperties", "propertyNames", "minProperties", "maxProperties"),
        *("dependentRequired", "dependentSchemas", "unevaluatedItems", "unevaluatedProperties"),
        "unanchored pattern",
        *(f"number.{bound}" for bound in ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum")),
    }
)
