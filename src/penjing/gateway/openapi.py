"""The OpenAPI 3.1 document, generated from the structures that check requests: it cannot say anything else than they.

Answers are OpenAI's; their schemas are left open, since engines add their own fields.
"""

from __future__ import annotations

import functools
from typing import Any

import msgspec

from penjing import __version__
from penjing.gateway.dialects.openai import wire

REFERENCE = "#/components/schemas/{name}"
JSON = "application/json"
POSTS: dict[str, tuple[type[wire.Body], str, bool]] = {
    "/v1/chat/completions": (wire.ChatBody, "Continue a conversation.", True),
    "/v1/completions": (wire.CompletionBody, "Continue a text.", True),
    "/v1/embeddings": (wire.EmbeddingBody, "Turn texts into vectors.", False),
}
GETS = {
    "/v1/models": ("The models here.", JSON, ("200", "401")),
    "/v1/models/{model}": ("One model.", JSON, ("200", "401", "404")),
    "/health": ("Whether models are ready; with ?live, whether the process lives.", JSON, ("200", "503")),
    "/metrics": ("Figures for Prometheus.", "text/plain", ("200", "401")),
    "/openapi.json": ("This document.", JSON, ("200",)),
}
WORDS = {
    "200": "Done",
    "400": "What was sent cannot be used",
    "401": "A key is needed",
    "404": "No such model",
    "413": "The body is too large",
    "429": "Too busy",
    "502": "The engine failed",
    "503": "Not ready; try again",
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


@functools.cache
def document() -> bytes:
    """The document as JSON."""
    kinds = [kind for kind, _, _ in POSTS.values()]
    bodies, schemas = msgspec.json.schema_components(kinds, ref_template=REFERENCE)
    paths: dict[str, Any] = {}
    for (path, (_, summary, streams)), body in zip(POSTS.items(), bodies, strict=True):
        paths[path] = {"post": _post(path, summary, streams, body)}
    for path, (summary, content, statuses) in GETS.items():
        paths[path] = {"get": _get(path, summary, content, statuses)}
    return msgspec.json.encode(
        {
            "openapi": "3.1.0",
            "info": {"title": "penjing", "version": __version__, "summary": "OpenAI-compatible server"},
            "paths": paths,
            "components": {
                "schemas": {**schemas, "Error": ERROR},
                "securitySchemes": {"key": {"type": "http", "scheme": "bearer"}},
            },
            "security": [{"key": []}, {}],
        }
    )


def _post(path: str, summary: str, streams: bool, body: dict[str, Any]) -> dict[str, Any]:
    content: dict[str, Any] = {JSON: {"schema": {"type": "object"}}}
    if streams:
        content["text/event-stream"] = {"schema": {"type": "string"}}
    statuses = ("400", "401", "404", "413", "429", "502", "503")
    return {
        "summary": summary,
        "operationId": _identity("post", path),
        "requestBody": {"required": True, "content": {JSON: {"schema": body}}},
        "responses": {"200": {"description": WORDS["200"], "content": content}, **_errors(statuses)},
    }


def _get(path: str, summary: str, content: str, statuses: tuple[str, ...]) -> dict[str, Any]:
    kind = {"type": "string"} if content != JSON else {"type": "object"}
    answer = {"description": WORDS["200"], "content": {content: {"schema": kind}}}
    said: dict[str, Any] = {"summary": summary, "operationId": _identity("get", path)}
    if "{model}" in path:
        said["parameters"] = [{"name": "model", "in": "path", "required": True, "schema": {"type": "string"}}]
    if path == "/health":
        answer_down = {"description": WORDS["503"], "content": {JSON: {"schema": {"type": "object"}}}}
        return said | {"responses": {"200": answer, "503": answer_down}}
    return said | {"responses": {"200": answer, **_errors(statuses[1:])}}


def _errors(statuses: tuple[str, ...]) -> dict[str, Any]:
    schema = {"schema": {"$ref": REFERENCE.format(name="Error")}}
    return {status: {"description": WORDS[status], "content": {JSON: schema}} for status in statuses}


def _identity(method: str, path: str) -> str:
    words = path.removeprefix("/v1").strip("/").replace("{", "").replace("}", "")
    return "_".join((method, *words.replace(".", "/").split("/")))
