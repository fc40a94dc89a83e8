"""Grammars of answers that are one call of a function, in the form of a family.

llguidance's Lark where the library has it (the wheel's), GBNF elsewhere. Sources: llguidance docs/syntax.md (control
tokens are `<[id]>`), llama.cpp grammars/README.md.

Does not know: how calls are read (`layout`).
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from penjing.engines.llamacpp.scheduler.families import Family
from penjing.errors import InvalidRequest
from penjing.native.grammar import of_schema
from penjing.native.model import Model
from penjing.native.sampler import LLGUIDANCE

Tool = Mapping[str, Any]
ROOT = re.compile(r"\broot\b")
CALLED = ("{call}", "{calls}", "{known call}")
NAMED = ("{name}", "{tool}")
NEW_ID = "/[A-Za-z0-9]{9}/"
"""As Mistral's tokenizers want it."""


def required(family: Family, tools: Sequence[Tool], model: Model) -> str:
    """A grammar of an answer that is one call of one of `tools`. Raises InvalidRequest where there is none."""
    if not tools:
        raise InvalidRequest(detail="tool_choice: there are no tools to choose from.")
    layout = family.layouts[0]
    whole = any(part in CALLED for part in layout)
    kind = Lark if of_schema({"type": "object"}).startswith(LLGUIDANCE) else Gbnf
    writer = kind(model)
    ways = [tools] if whole else [[tool] for tool in tools]
    for way in ways:
        writer.way([_piece(part, family, way, writer) for part in layout])
    return writer.text()


def _piece(part: str, family: Family, tools: Sequence[Tool], writer: Lark | Gbnf) -> str:
    function = tools[0]["function"]
    parameters = function.get("parameters") or {"type": "object"}
    if part in CALLED:
        schema: dict[str, Any] = {"anyOf": [form(tool, family.keys) for tool in tools]}
        if part == "{calls}":
            schema = {"type": "array", "items": schema, "minItems": 1}
        return writer.around(family.spaced, writer.schema(schema))
    if part in NAMED:
        return writer.literal(function["name"])
    if part == "{id}":
        return writer.id()
    if part == "{arguments}":
        return writer.schema(parameters)
    if part == "{pairs}":
        return writer.pairs(family, list(parameters.get("properties") or ()))
    return writer.literal(part.removeprefix("?"))


def form(tool: Tool, keys: tuple[str, str]) -> dict[str, Any]:
    """The JSON schema of a call of `tool`."""
    function = tool["function"]
    properties = {keys[0]: {"const": function["name"]}, keys[1]: function.get("parameters") or {"type": "object"}}
    return {"type": "object", "properties": properties, "required": list(keys), "additionalProperties": False}


class Lark:
    """llguidance's; ways are added, then it is a text."""

    def __init__(self, model: Model) -> None:
        self._model = model
        self._ways: list[str] = []
        self._rules: list[str] = []

    def way(self, pieces: list[str]) -> None:
        """One more that the answer may go."""
        self._ways.append(" ".join(pieces))

    def text(self) -> str:
        """The grammar."""
        return "\n".join([f"{LLGUIDANCE} {{}}", f"start: {' | '.join(self._ways)}", *self._rules, ""])

    def literal(self, text: str) -> str:
        """A text, or the control token that it is."""
        found = self._model.tokenize(text, special=True, begin=False)
        control = len(found) == 1 and self._model.control(found[0])
        return f"<[{found[0]}]>" if control else json.dumps(text, ensure_ascii=False)

    def schema(self, schema: Mapping[str, Any]) -> str:
        """What a JSON schema allows."""
        return self._rule(f"%json {json.dumps(schema, ensure_ascii=False)}")

    def id(self) -> str:
        """A name of the call."""
        return self._rule(NEW_ID)

    def around(self, space: str, piece: str) -> str:
        """`piece` between spaces."""
        return f"{json.dumps(space)} {piece} {json.dumps(space)}" if space else piece

    def pairs(self, family: Family, keys: list[str]) -> str:
        """One or more of `keys` with their values."""
        before, between, opened, after = (self.literal(mark) if mark else "" for mark in family.pair)
        key = self._rule(" | ".join(self.literal(key) for key in keys) or '"none"')
        value = self._rule(f"/[^{re.escape(family.pair[3][0])}]+/")
        space = json.dumps(family.spaced)
        pair = self._rule(" ".join([space, before, key, between, *([space, opened] if opened else []), value, after]))
        return f"{pair}+ {space}" if keys else space

    def _rule(self, body: str) -> str:
        name = f"part{len(self._rules)}"
        self._rules.append(f"{name}: {body}")
        return name


class Gbnf(Lark):
    """llama.cpp's own. Where several functions may be called and none stands alone in its object, their arguments are
    any object: rules of several schemas would have the same names."""

    def text(self) -> str:
        """The grammar."""
        return "\n".join([f"root ::= {' | '.join(self._ways)}", *self._rules, ""])

    def literal(self, text: str) -> str:
        """A text; control tokens are known by theirs."""
        return json.dumps(text, ensure_ascii=False)

    def schema(self, schema: Mapping[str, Any]) -> str:
        """What a JSON schema allows."""
        if any(rule.startswith("called ::=") for rule in self._rules):
            self._rules = [rule for rule in self._rules if not rule.startswith("called")]
            schema = {"type": "object"}
        rules = of_schema(schema)
        self._rules.append(ROOT.sub("called", rules))
        return "called"

    def id(self) -> str:
        """A name of the call."""
        return self._rule(NEW_ID.strip("/"))

    def _rule(self, body: str) -> str:
        name = f"part{len(self._rules)}"
        self._rules.append(f"{name} ::= {re.sub('^/|/$', '', body)}")
        return name
