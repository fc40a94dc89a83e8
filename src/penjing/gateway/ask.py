"""One request for a model on its way through the policies: what a policy sees and may add to.

The body is parsed when somebody first looks, so that a refused key costs no parsing; the internal form is built only
for policies that read conversations.
"""

from __future__ import annotations

from collections.abc import AsyncIterable, Awaitable, Callable
from dataclasses import dataclass
from functools import cached_property
from typing import cast

from penjing.gateway.dialects.openai import convert, wire
from penjing.gateway.dialects.openai.parse import parse
from penjing.gateway.reply import Incoming
from penjing.messages import Event, Request


@dataclass(frozen=True)
class Route:
    """An endpoint that asks a model: its path, also on the engine, and what its body is."""

    path: str
    kind: type[wire.Body]


@dataclass
class Ask:
    """`key` names the API key that let it in (never the key itself); "" when the gateway is open."""

    route: Route
    incoming: Incoming
    key: str = ""

    @cached_property
    def wire(self) -> wire.AnyBody:
        """The checked body. Raises InvalidRequest, UnknownOption."""
        return cast(wire.AnyBody, parse(self.incoming.body, self.route.kind))

    @property
    def parsed(self) -> bool:
        """Whether the body was looked into and is sound."""
        return "wire" in self.__dict__

    @property
    def model(self) -> str:
        """The name the client asked for; "" for the first one."""
        return self.wire.model

    @property
    def stream(self) -> bool:
        return bool(getattr(self.wire, "stream", None))

    @cached_property
    def request(self) -> Request | None:
        """The internal form; None for embeddings, which are no conversation."""
        body = self.wire
        return None if isinstance(body, wire.EmbeddingBody) else convert.request(body, self.incoming.body)


Call = Callable[[Ask], Awaitable[AsyncIterable[Event]]]
"""What comes next: the following policy, at the end the engine."""
