"""Errors out in OpenAI's shape; an engine's errors in as ours."""

from __future__ import annotations

import json

import pytest

from penjing import errors as floor
from penjing.errors import ContextOverflow, EngineBusy, EngineError, EngineLoading, InvalidRequest, Unsupported
from penjing.gateway.dialects.openai.errors import engine_error, error_body, error_event, protocol_refusal


def test_the_shape() -> None:
    error = ContextOverflow(tokens=9, context=4, param="messages")
    said = json.loads(error_body(error))["error"]
    assert set(said) == {"message", "type", "param", "code"}
    assert said["code"] == "context_length_exceeded"
    assert said["type"] == "invalid_request_error"
    assert said["param"] == "messages"
    assert error_event(error) == b"data: " + error_body(error) + b"\n\n"


def test_bodies_are_english_whatever_the_reader_speaks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PENJING_LANGUAGE", "zh")
    assert json.loads(error_body(ContextOverflow(tokens=9, context=4)))["error"]["message"].isascii()


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (
            400,
            b'{"error":{"type":"exceed_context_size_error","message":"m","n_prompt_tokens":9,"n_ctx":4}}',
            ContextOverflow,
        ),
        (400, b'{"error":{"code":"context_length_exceeded","message":"too long","type":"x"}}', ContextOverflow),
        (400, b'{"error":{"code":400,"message":"bad","type":"invalid_request_error"}}', InvalidRequest),
        (404, b'{"error":"no such thing"}', InvalidRequest),
        (422, b'{"detail":[{"loc":["body"]}]}', InvalidRequest),
        (501, b'{"error":{"code":501,"message":"no embeddings","type":"not_supported_error"}}', Unsupported),
        (503, b'{"error":{"code":503,"message":"Loading model","type":"unavailable_error"}}', EngineLoading),
        (429, b"slow down", EngineBusy),
        (401, b'{"error":{"message":"wrong key"}}', EngineError),
        (500, b'{"error":{"code":500,"message":"boom","type":"server_error"}}', EngineError),
        (500, b'{"error":{"code":500,"message":"Failed to parse tool call arguments as JSON: [json"}}', InvalidRequest),
        (502, b"<html>\xff</html>", EngineError),
        (500, b"", EngineError),
        (500, b"[]", EngineError),
    ],
)
def test_an_engines_error_is_ours(status: int, body: bytes, kind: type[floor.PenjingError]) -> None:
    error = engine_error(status, body, "m")
    assert isinstance(error, kind)
    assert error.message("en")
    json.loads(error_body(error))


def test_token_counts_are_taken_over() -> None:
    body = b'{"error":{"type":"exceed_context_size_error","message":"m","n_prompt_tokens":9,"n_ctx":4}}'
    assert engine_error(400, body, "m").facts == {"tokens": 9, "context": 4, "param": "messages"}


@pytest.mark.parametrize(
    ("status", "code"), [(413, "request_too_large"), (431, "headers_too_large"), (400, "bad_request")]
)
def test_refusals_before_there_is_a_request(status: int, code: str) -> None:
    content_type, body = protocol_refusal(status, "why")
    assert content_type == b"application/json"
    assert json.loads(body)["error"]["code"] == code
