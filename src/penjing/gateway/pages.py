"""What can be read with GET: health, metrics, the OpenAPI document.

Does not know: how models are asked.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from difflib import get_close_matches

from penjing.errors import InputError
from penjing.gateway import models
from penjing.gateway.dialects.dialect import Answered
from penjing.gateway.dialects.openai.errors import JSON
from penjing.gateway.dialects.table import Table
from penjing.gateway.grant import OPEN, kept
from penjing.gateway.health import LIVE, health
from penjing.gateway.house import House
from penjing.gateway.metrics import CONTENT_TYPE, render
from penjing.gateway.reply import Incoming

PAGES = ("/health", "/metrics", "/openapi.json")


class PathNotFound(InputError):
    """Facts: `path`, `known`."""

    template = "There is nothing at {path}."
    hint = "Known here: {known}"
    code = "not_found"
    status = 404


class MethodNotAllowed(InputError):
    """Facts: `method`, `path`, `allowed`."""

    template = "{path} takes {allowed}, not {method}."
    code = "method_not_allowed"
    status = 405


class Pages:
    """Reads from `house` when somebody asks. Dialects add pages of their own (`table`)."""

    def __init__(self, house: House, table: Table) -> None:
        self._house = house
        self._table = table
        self._pages: dict[str, Callable[[Incoming], Awaitable[Answered]]] = {
            "/health": self._health,
            "/metrics": self._metrics,
            "/openapi.json": self._openapi,
        }

    async def page(self, incoming: Incoming) -> Answered:
        """The page at a path. Raises PathNotFound, MethodNotAllowed, AccessError, and what a dialect's page raises."""
        path = incoming.path.rstrip("/") or "/"
        if incoming.method == "OPTIONS":
            return 204, JSON, b""
        of_dialect = self._table.page(incoming)
        if of_dialect is not None:
            grant = OPEN if of_dialect.open else self._house.admit(incoming)
            return await of_dialect.answer(incoming, self._house, kept(grant, incoming))
        allowed = self._table.allowed(path)
        if path in self._pages:
            allowed = (*allowed, "GET")
        if not allowed:
            raise self._not_found(path)
        if "GET" not in allowed or incoming.method not in ("GET", "HEAD"):
            raise MethodNotAllowed(method=incoming.method, path=path, allowed=", ".join(allowed))
        return await self._pages[path](incoming)

    def _not_found(self, path: str) -> PathNotFound:
        known = (*self._table.endpoints, *PAGES, *self._table.pages)
        close = get_close_matches(path, known, 2, 0.6) or (*self._table.endpoints[:3], *PAGES)
        return PathNotFound(path=path, known=", ".join(close))

    async def _health(self, incoming: Incoming) -> Answered:
        if incoming.query.startswith("live"):
            return 200, JSON, LIVE
        status, body = await health(self._house)
        return status, JSON, body

    async def _metrics(self, incoming: Incoming) -> Answered:
        self._house.admit(incoming)
        engines = self._house.engines
        answers = await self._house.pulse.all(engines)
        of_engines = await models.metrics(engines, self._house.pools, answers)
        return 200, CONTENT_TYPE, render((*self._house.observed.all(), *of_engines))

    async def _openapi(self, incoming: Incoming) -> Answered:
        from penjing.gateway.openapi import document

        return 200, JSON, document(self._table)
