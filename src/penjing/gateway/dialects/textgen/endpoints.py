"""The paths of text-generation-webui's API that ask a model. Its streams have paths of their own."""

from __future__ import annotations

from dataclasses import dataclass

from penjing.errors import PenjingError
from penjing.gateway.ask import Ask
from penjing.gateway.dialects.openai import wire as openai
from penjing.gateway.dialects.openai.body import body as canonical
from penjing.gateway.dialects.openai.parse import parse
from penjing.gateway.dialects.textgen import convert, said
from penjing.gateway.dialects.textgen.wire import GenerateBody, TalkBody
from penjing.gateway.reply import Incoming


@dataclass(frozen=True)
class Generate:
    """A text to be continued."""

    path: str
    streams: bool
    summary: str = "Continue a text, as text-generation-webui's clients ask it."
    dialect: str = "textgen"
    kind: type[openai.Body] = openai.CompletionBody
    body: type[GenerateBody] = GenerateBody

    def asked(self, incoming: Incoming, key: str) -> bytes:
        body = parse(incoming.body, self.body)
        return canonical(convert.request(body, self.streams or bool(body.stream)))

    def writer(self, ask: Ask) -> said.Plain:
        return said.Plain()

    def refusal(self, error: PenjingError) -> tuple[int, bytes]:
        return said.refusal(error)


@dataclass(frozen=True)
class Chat:
    """A conversation to be continued."""

    path: str
    streams: bool
    summary: str = "Continue a conversation, as text-generation-webui's clients ask it."
    dialect: str = "textgen"
    kind: type[openai.Body] = openai.ChatBody
    body: type[TalkBody] = TalkBody

    def asked(self, incoming: Incoming, key: str) -> bytes:
        body = parse(incoming.body, self.body)
        return canonical(convert.request(body, self.streams or bool(body.stream)))

    def writer(self, ask: Ask) -> said.Chat:
        return said.Chat(*convert.asked(parse(ask.incoming.body, self.body)))

    def refusal(self, error: PenjingError) -> tuple[int, bytes]:
        return said.refusal(error)


ENDPOINTS = (
    Generate("/api/v1/generate", streams=False),
    Generate("/api/v1/stream", streams=True),
    Chat("/api/v1/chat", streams=False),
    Chat("/api/v1/chat-stream", streams=True),
)
