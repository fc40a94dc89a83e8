"""Anthropic's dialect, as it is registered."""

from __future__ import annotations

from dataclasses import dataclass

from penjing.errors import PenjingError
from penjing.gateway.ask import Ask
from penjing.gateway.dialects.anthropic import convert, pages, said, wire
from penjing.gateway.dialects.anthropic.writer import Writer
from penjing.gateway.dialects.dialect import Dialect, Page
from penjing.gateway.dialects.hosted import parsed
from penjing.gateway.dialects.openai.body import body as canonical
from penjing.gateway.dialects.openai.wire import Body, ChatBody
from penjing.gateway.reply import Incoming


@dataclass(frozen=True)
class Messages:
    """POST /v1/messages"""

    path: str = "/v1/messages"
    dialect: str = "anthropic"
    kind: type[Body] = ChatBody
    body: type[Body] = wire.MessagesBody
    summary: str = "Continue a conversation, as Anthropic's clients ask it."

    def asked(self, incoming: Incoming, key: str) -> bytes:
        return canonical(convert.request(parsed(incoming.body, wire.MessagesBody, wire.OWN)))

    def writer(self, ask: Ask) -> Writer:
        return Writer(ask.target)

    def refusal(self, error: PenjingError) -> tuple[int, bytes]:
        return said.refusal(error)


def speaks(incoming: Incoming) -> bool:
    """Anthropic's clients always say which version of its API they mean."""
    return b"anthropic-version" in incoming.headers


DIALECT = Dialect(
    "anthropic",
    said.refusal,
    (Messages(),),
    (
        Page("POST", "/v1/messages/count_tokens", pages.count, "Tokens of a conversation, not asked.", wire.Prompt),
        Page("GET", pages.MODELS, pages.models, "The models here."),
        Page("GET", f"{pages.MODELS}/*", pages.model, "One model."),
    ),
    speaks,
)
