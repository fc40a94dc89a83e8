"""The paths of Ollama's API that ask a model. A question without content only loads the model, or puts it to rest."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec
from msgspec import structs

from penjing.errors import PenjingError
from penjing.gateway.ask import Ask, Question
from penjing.gateway.dialects.ollama import said, wire
from penjing.gateway.dialects.ollama.convert import plain, request, seconds
from penjing.gateway.dialects.openai.body import body as canonical
from penjing.gateway.dialects.openai.parse import parse
from penjing.gateway.dialects.openai.wire import Body, ChatBody, CompletionBody, EmbeddingBody
from penjing.gateway.reply import Incoming
from penjing.messages import Message, Text

Talk = wire.OllamaChat | wire.OllamaGenerate


def is_empty(body: Talk) -> bool:
    """Whether nothing is asked: only to load the model, or to put it to rest."""
    return not body.messages if isinstance(body, wire.OllamaChat) else not (body.prompt or body.images)


@dataclass(frozen=True)
class Talking:
    """/api/chat and /api/generate. What is `raw` is no chat, which `kind` cannot know before it is read."""

    path: str
    body: type[wire.OllamaChat] | type[wire.OllamaGenerate]
    summary: str
    kind: type[Body] = ChatBody
    dialect: str = "ollama"

    def asked(self, incoming: Incoming, key: str) -> bytes:
        body: Talk = parse(incoming.body, self.body)
        made = request(body)
        if is_empty(body):
            nothing = structs.replace(made.sampling, max_tokens=0)
            asked = (Message(role="user", parts=(Text(text=" "),)),)
            made = structs.replace(made, prompt=None, messages=asked, sampling=nothing)
        kind = CompletionBody if made.prompt is not None else None
        rest = seconds(body.keep_alive)
        return Question(canonical(made), context=body.options.num_ctx or 0, rest=rest, kind=kind)

    def writer(self, ask: Ask) -> said.Writer:
        body: Talk = parse(ask.incoming.body, self.body)
        why = "" if not is_empty(body) else "unload" if seconds(body.keep_alive) == 0 else "load"
        return said.Writer(body.model, isinstance(body, wire.OllamaChat), ask.arrived, why)

    def refusal(self, error: PenjingError) -> tuple[int, bytes]:
        return said.refusal(error)


@dataclass(frozen=True)
class Embedding:
    """/api/embed, and /api/embeddings which gives one vector."""

    path: str
    body: type[wire.OllamaEmbed] | type[wire.OllamaEmbedding]
    summary: str = "Turn texts into vectors, as Ollama's clients ask it."
    kind: type[Body] = EmbeddingBody
    dialect: str = "ollama"

    def asked(self, incoming: Incoming, key: str) -> bytes:
        body: wire.OllamaEmbed | wire.OllamaEmbedding = parse(incoming.body, self.body)
        made = EmbeddingBody(
            model=plain(body.model), input=body.prompt if isinstance(body, wire.OllamaEmbedding) else _texts(body)
        )
        if isinstance(body, wire.OllamaEmbed):
            made.dimensions = body.dimensions
        return Question(msgspec.json.encode(made), context=body.options.num_ctx or 0, rest=seconds(body.keep_alive))

    def writer(self, ask: Ask) -> said.Vectors:
        return said.Vectors(ask.model, self.body is wire.OllamaEmbedding)

    def refusal(self, error: PenjingError) -> tuple[int, bytes]:
        return said.refusal(error)


def _texts(body: wire.OllamaEmbed) -> str | list[str | int | list[int]]:
    return body.input if isinstance(body.input, str) else [*body.input]


ENDPOINTS = (
    Talking("/api/chat", wire.OllamaChat, "Continue a conversation, as Ollama's clients ask it."),
    Talking("/api/generate", wire.OllamaGenerate, "Answer a prompt, as Ollama's clients ask it."),
    Embedding("/api/embed", wire.OllamaEmbed),
    Embedding("/api/embeddings", wire.OllamaEmbedding),
)
