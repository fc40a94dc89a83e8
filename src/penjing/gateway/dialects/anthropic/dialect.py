"""Anthropic's dialect, as it is registered."""

from __future__ import annotations

from penjing.gateway.dialects.anthropic import pages, said, wire
from penjing.gateway.dialects.anthropic.endpoint import Messages
from penjing.gateway.dialects.dialect import Dialect, Page
from penjing.gateway.reply import Incoming


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
