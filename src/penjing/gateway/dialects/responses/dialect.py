"""The Responses API as it is registered: what asks a model, and what is read of answers that were kept."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial

import msgspec

from penjing.errors import PenjingError
from penjing.gateway.ask import Ask, Private
from penjing.gateway.dialects.dialect import Dialect, Page
from penjing.gateway.dialects.hosted import parsed
from penjing.gateway.dialects.openai.body import body as canonical
from penjing.gateway.dialects.openai.endpoints import refusal
from penjing.gateway.dialects.openai.wire import Body, ChatBody
from penjing.gateway.dialects.responses import convert, items, pages, wire
from penjing.gateway.dialects.responses.said import Echo
from penjing.gateway.dialects.responses.store import Store
from penjing.gateway.dialects.responses.writer import Keep, Writer
from penjing.gateway.reply import Incoming

PATH = "/v1/responses"


@dataclass(frozen=True)
class Responses:
    """POST /v1/responses"""

    store: Store = field(repr=False)
    path: str = PATH
    dialect: str = "responses"
    kind: type[Body] = ChatBody
    body: type[Body] = wire.ResponsesBody
    summary: str = "Continue a conversation that the server keeps."

    def asked(self, incoming: Incoming, key: str) -> bytes:
        body = parsed(incoming.body, wire.ResponsesBody, wire.OWN)
        made = canonical(convert.request(body, items.everything(body, self.store, key)))
        return Private(made) if items.private(body, self.store, key) else made

    def writer(self, ask: Ask) -> Writer:
        """Raises ItemNotFound where something referred to was forgotten while the question waited."""
        body = parsed(ask.incoming.body, wire.ResponsesBody, wire.OWN)
        echo = msgspec.json.decode(ask.incoming.body, type=Echo)
        keep: Keep = _forget
        if body.store is not False:
            keep = items.keeper(body, self.store, ask.key.name, local=ask.local_only)
        return Writer(body, echo, ask.target, keep)

    def refusal(self, error: PenjingError) -> tuple[int, bytes]:
        return refusal(error)


def _forget(id: str, response: bytes) -> None:
    """What was asked with `store: false`."""


def dialect() -> Dialect:
    """A new one, with a store of its own."""
    store = Store()
    answer = f"{PATH}/*"
    return Dialect(
        "responses",
        refusal,
        (Responses(store),),
        (
            Page("POST", f"{PATH}/input_tokens", partial(pages.count, store), "Tokens of a question.", wire.Asked),
            Page("GET", answer, partial(pages.read, store), "An answer that was kept, or what it answered."),
            Page("DELETE", answer, partial(pages.delete, store), "Forget an answer."),
        ),
    )
