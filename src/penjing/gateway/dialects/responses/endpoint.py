"""The path of the Responses API that asks a model."""

from __future__ import annotations

from dataclasses import dataclass, field

import msgspec

from penjing.errors import PenjingError
from penjing.gateway.ask import Ask, Question
from penjing.gateway.dialects.hosted import parsed
from penjing.gateway.dialects.openai.body import body as canonical
from penjing.gateway.dialects.openai.endpoints import refusal
from penjing.gateway.dialects.openai.wire import Body, ChatBody
from penjing.gateway.dialects.responses import convert, items, wire
from penjing.gateway.dialects.responses.said import Echo
from penjing.gateway.dialects.responses.store import Store
from penjing.gateway.dialects.responses.writer import Keep, Writer
from penjing.gateway.reply import Incoming

PATH = "/v1/responses"


@dataclass(frozen=True)
class Responses:
    """POST /v1/responses; with `body` an Asked, what is counted instead of asked."""

    store: Store = field(repr=False)
    path: str = PATH
    dialect: str = "responses"
    kind: type[Body] = ChatBody
    body: type[wire.Asked] = wire.ResponsesBody
    summary: str = "Continue a conversation that the server keeps."

    def asked(self, incoming: Incoming, key: str) -> bytes:
        body = parsed(incoming.body, self.body, wire.OWN)
        made = canonical(convert.request(body, items.everything(body, self.store, key)))
        return Question(made, private=items.private(body, self.store, key))

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
