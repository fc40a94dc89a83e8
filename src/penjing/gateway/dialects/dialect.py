"""The seam of dialects: what the gateway needs to know of one."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from msgspec import Struct

from penjing.errors import PenjingError
from penjing.gateway.ask import Endpoint
from penjing.gateway.grant import Grant
from penjing.gateway.house import House
from penjing.gateway.reply import Incoming

Answered = tuple[int, bytes, bytes]
"""Status, content type, body."""


@dataclass(frozen=True)
class Page:
    """A path that asks no model to write: a list, a description, a count. `path` may end in `/*`: whatever follows is
    the page's to read. `open`: no key is needed. `body`: the structure that checks what is posted. `summary`: one
    sentence for the OpenAPI document."""

    method: str
    path: str
    answer: Callable[[Incoming, House, Grant], Awaitable[Answered]]
    summary: str
    body: type[Struct] | None = None
    open: bool = False


@dataclass(frozen=True)
class Dialect:
    """`refusal` writes an error as this dialect's clients read it: status and JSON body. `speaks` tells from headers
    and body whether a request at a path that several dialects have is in this one. `sockets`: paths of endpoints whose
    streams also go over a WebSocket, a message for each line."""

    name: str
    refusal: Callable[[PenjingError], tuple[int, bytes]]
    endpoints: tuple[Endpoint, ...] = ()
    pages: tuple[Page, ...] = ()
    speaks: Callable[[Incoming], bool] = lambda incoming: True
    sockets: tuple[str, ...] = ()
