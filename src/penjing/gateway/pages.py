"""What can be read with GET: the models, health, metrics, the OpenAPI document.

Does not know: how models are asked.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from difflib import get_close_matches
from urllib.parse import unquote

from penjing.engines.engine import Engine
from penjing.errors import InputError, ModelNotFound, PenjingError
from penjing.gateway import models
from penjing.gateway.dialects.openai.errors import JSON
from penjing.gateway.health import LIVE, health
from penjing.gateway.metrics import CONTENT_TYPE, render
from penjing.gateway.observe import Observed
from penjing.gateway.policies.keys import Keys
from penjing.gateway.reply import Incoming
from penjing.gateway.upstream import Pool

Page = tuple[int, bytes, bytes]
"""Status, content type, body."""
ONE_MODEL = "/v1/models/"
PAGES = ("/v1/models", "/health", "/metrics", "/openapi.json")


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


class NoSuchModel(ModelNotFound):
    """Facts: `model`, `known`."""

    template = "There is no model '{model}' on this server."
    hint = "Models here: {known}"


class Pages:
    """`engines`, `failed` and `pools` are the gateway's own, looked into when somebody asks."""

    def __init__(
        self,
        engines: Mapping[str, Engine],
        failed: Mapping[str, PenjingError],
        pools: Mapping[str, Pool],
        observed: Observed,
        keys: Keys,
    ) -> None:
        self._engines = engines
        self._failed = failed
        self._pools = pools
        self._observed = observed
        self._keys = keys
        self._pages: dict[str, Callable[[Incoming], Awaitable[Page]]] = {
            "/v1/models": self._models,
            "/health": self._health,
            "/metrics": self._metrics,
            "/openapi.json": self._openapi,
        }

    async def page(self, incoming: Incoming, asked: Iterable[str]) -> Page:
        """The page at a path; `asked` are the paths that take POST. Raises PathNotFound, MethodNotAllowed,
        AccessError, NoSuchModel."""
        path = incoming.path.rstrip("/") or "/"
        posts = tuple(asked)
        if incoming.method == "OPTIONS":
            return 204, JSON, b""
        if path in posts:
            raise MethodNotAllowed(method=incoming.method, path=path, allowed="POST")
        if path not in self._pages and not path.startswith(ONE_MODEL):
            known = (*posts, *PAGES)
            close = get_close_matches(path, known, 2, 0.6) or known
            raise PathNotFound(path=path, known=", ".join(close))
        if incoming.method not in ("GET", "HEAD"):
            raise MethodNotAllowed(method=incoming.method, path=path, allowed="GET")
        if path in self._pages:
            return await self._pages[path](incoming)
        self._keys.admit(incoming.headers)
        return 200, JSON, models.one(*chosen(self._engines, unquote(path.removeprefix(ONE_MODEL))))

    async def _models(self, incoming: Incoming) -> Page:
        self._keys.admit(incoming.headers)
        return 200, JSON, models.listed(self._engines)

    async def _health(self, incoming: Incoming) -> Page:
        if incoming.query.startswith("live"):
            return 200, JSON, LIVE
        status, body = await health(self._engines, self._failed)
        return status, JSON, body

    async def _metrics(self, incoming: Incoming) -> Page:
        self._keys.admit(incoming.headers)
        of_engines = await models.metrics(self._engines, self._pools)
        return 200, CONTENT_TYPE, render((*self._observed.all(), *of_engines))

    async def _openapi(self, incoming: Incoming) -> Page:
        from penjing.gateway.openapi import document

        return 200, JSON, document()


def chosen(engines: Mapping[str, Engine], model: str) -> tuple[str, Engine]:
    """The engine named `model`, the first one where none is named. Raises NoSuchModel."""
    if not model and engines:
        return next(iter(engines.items()))
    try:
        return model, engines[model]
    except KeyError:
        raise NoSuchModel(model=model, known=", ".join(engines), param="model") from None
