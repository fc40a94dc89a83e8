"""The path of Anthropic's API that asks a model."""

from __future__ import annotations

from dataclasses import dataclass

from penjing.errors import PenjingError
from penjing.gateway.ask import Ask
from penjing.gateway.dialects.anthropic import convert, said, wire
from penjing.gateway.dialects.anthropic.writer import Writer
from penjing.gateway.dialects.hosted import parsed
from penjing.gateway.dialects.openai.body import body as canonical
from penjing.gateway.dialects.openai.wire import Body, ChatBody
from penjing.gateway.reply import Incoming


@dataclass(frozen=True)
class Messages:
    """POST /v1/messages; with `body` a Prompt, what is counted instead of asked."""

    path: str = "/v1/messages"
    dialect: str = "anthropic"
    kind: type[Body] = ChatBody
    body: type[wire.Prompt] = wire.MessagesBody
    summary: str = "Continue a conversation, as Anthropic's clients ask it."

    def asked(self, incoming: Incoming, key: str) -> bytes:
        return canonical(convert.request(parsed(incoming.body, self.body, wire.OWN)))

    def writer(self, ask: Ask) -> Writer:
        return Writer(ask.target)

    def refusal(self, error: PenjingError) -> tuple[int, bytes]:
        return said.refusal(error)
