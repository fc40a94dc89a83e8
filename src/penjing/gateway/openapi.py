"""The OpenAPI 3.1 document, generated from the structures that check requests: it cannot say anything else than they.

Answers are OpenAI's; their schemas are left open, since engines add their own fields.
"""

from __future__ import annotations

import re
from typing import Any

import msgspec

from penjing import __version__
from penjing.gateway.dialects.dialect import Page
from penjing.gateway.dialects.openai import wire
from penjing.gateway.dialects.table import Table

REFERENCE = "#/components/schemas/{name}"
JSON = "application/json"
TITLE = "Models on your own hardware, in every API dialect"
FAILURES = ("400", "401", "403", "404", "405", "408", "413", "429", "431", "501", "502", "503", "504", "507")
GETS = {
    "/health": ("Whether models are ready; with ?live, whether the process lives.", JSON),
    "/metrics": ("Figures for Prometheus.", "text/plain"),
    "/openapi.json": ("This document.", JSON),
}
WORDS = {
    "200": "Done",
    "400": "What was sent cannot be used",
    "401": "A key is needed",
    "403": "Not allowed to this key, or to the page that asks",
    "404": "No such model",
    "405": "Not a method of this path",
    "408": "The body did not arrive in time",
    "413": "The body is too large",
    "429": "Too busy",
    "431": "The headers are too large",
    "501": "Not a thing that this server does",
    "502": "The engine failed",
    "503": "Not ready; try again",
    "504": "The engine said nothing for too long",
    "507": "No room to write the audit log",
}
ERROR = {
    "type": "object",
    "required": ["error"],
    "properties": {
        "error": {
            "type": "object",
            "required": ["message", "type", "param", "code"],
            "properties": {
                "message": {"type": "string"},
                "type": {"type": "string"},
                "param": {"type": ["string", "null"]},
                "code": {"type": ["string", "null"]},
            },
        }
    },
}


def document(table: Table) -> bytes:
    """The document as JSON: our own pages, and everything in `table`."""
    kinds = {each.body: None for each in table.every_endpoint()} | {each.body: None for each in table.every_page()}
    bodies = [kind for kind in kinds if kind is not None]
    made, schemas = msgspec.json.schema_components(bodies, ref_template=REFERENCE)
    references = dict(zip(bodies, made, strict=True))
    paths: dict[str, Any] = {}
    for path, (summary, content) in GETS.items():
        paths[path] = {"get": _get(path, summary, content)}
    for endpoint in table.every_endpoint():
        streams = not issubclass(endpoint.kind, wire.Weighing)
        paths[endpoint.path] = {"post": _post(endpoint.path, endpoint.summary, streams, references[endpoint.body])}
    for page in table.every_page():
        path = page.path.replace("/*", "/{name}")
        method = page.method.lower()
        paths.setdefault(path, {}).setdefault(method, _page(method, path, page, references))
    return msgspec.json.encode(
        {
            "openapi": "3.1.0",
            "info": {"title": "penjing", "version": __version__, "summary": TITLE},
            "paths": paths,
            "components": {
                "schemas": {**schemas, "Error": ERROR},
                "securitySchemes": {"key": {"type": "http", "scheme": "bearer"}},
            },
            "security": [{"key": []}, {}],
        }
    )


def _page(method: str, path: str, page: Page, references: dict[type[msgspec.Struct], dict[str, Any]]) -> dict[str, Any]:
    if page.body is not None:
        return _post(path, page.summary, False, references[page.body])
    said = _get(path, page.summary, JSON)
    return said | {"operationId": _identity(method, path)}


def _post(path: str, summary: str, streams: bool, body: dict[str, Any]) -> dict[str, Any]:
    content: dict[str, Any] = {JSON: {"schema": {"type": "object"}}}
    if streams:
        content["text/event-stream"] = {"schema": {"type": "string"}}
    return {
        "summary": summary,
        "operationId": _identity("post", path),
        "requestBody": {"required": True, "content": {JSON: {"schema": body}}},
        "responses": {"200": {"description": WORDS["200"], "content": content}, **_errors(FAILURES)},
    }


def _get(path: str, summary: str, content: str) -> dict[str, Any]:
    kind = {"type": "string"} if content != JSON else {"type": "object"}
    answer = {"description": WORDS["200"], "content": {content: {"schema": kind}}}
    said: dict[str, Any] = {"summary": summary, "operationId": _identity("get", path)}
    if parameters := re.findall(r"{(\w+)}", path):
        said["parameters"] = [
            {"name": name, "in": "path", "required": True, "schema": {"type": "string"}} for name in parameters
        ]
    if path == "/health":
        answer_down = {"description": WORDS["503"], "content": {JSON: {"schema": {"type": "object"}}}}
        return said | {"responses": {"200": answer, **_errors(FAILURES), "503": answer_down}}
    return said | {"responses": {"200": answer, **_errors(FAILURES)}}


def _errors(statuses: tuple[str, ...]) -> dict[str, Any]:
    schema = {"schema": {"$ref": REFERENCE.format(name="Error")}}
    return {status: {"description": WORDS[status], "content": {JSON: schema}} for status in statuses}


def _identity(method: str, path: str) -> str:
    words = path.removeprefix("/v1").strip("/").replace("{", "").replace("}", "")
    return "_".join((method, *words.replace(".", "/").split("/")))
