"""OpenAI's own paths that ask a model. Engines speak this dialect, so bytes pass through untouched."""

from __future__ import annotations

from dataclasses import dataclass

from penjing.errors import PenjingError
from penjing.gateway.ask import Ask
from penjing.gateway.dialects.openai import wire
from penjing.gateway.dialects.openai.errors import error_body, error_event
from penjing.gateway.reply import Incoming


class Untouched:
    """The writer that changes nothing. The engine's own stream ends with `[DONE]`."""

    content_type = b"text/event-stream"

    def write(self, data: bytes) -> bytes:
        return data

    def end(self) -> bytes:
        return b""

    def failed(self, error: PenjingError) -> bytes:
        return error_event(error)

    def whole(self, body: bytes) -> bytes:
        return body


UNTOUCHED = Untouched()


@dataclass(frozen=True)
class OpenAI:
    """One path of OpenAI's API."""

    path: str
    kind: type[wire.Body]
    summary: str
    dialect: str = "openai"

    @property
    def body(self) -> type[wire.Body]:
        return self.kind

    def asked(self, incoming: Incoming, key: str) -> bytes:
        return incoming.body

    def writer(self, ask: Ask) -> Untouched:
        return UNTOUCHED

    def refusal(self, error: PenjingError) -> tuple[int, bytes]:
        return refusal(error)


def refusal(error: PenjingError) -> tuple[int, bytes]:
    """Status and body of an error."""
    return error.status, error_body(error)


ENDPOINTS = (
    OpenAI("/v1/chat/completions", wire.ChatBody, "Continue a conversation."),
    OpenAI("/v1/completions", wire.CompletionBody, "Continue a text."),
    OpenAI("/v1/embeddings", wire.EmbeddingBody, "Turn texts into vectors."),
    OpenAI("/v1/rerank", wire.RerankBody, "Say how well documents answer a query."),
)
