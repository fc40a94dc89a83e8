"""The gateway itself: every path, from request to reply.

Does not know: sockets (`http`, `upstream`), what is in a body (`dialects`), processes (`engines`, `operate`).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterable, Awaitable, Callable, Mapping
from difflib import get_close_matches
from functools import partial
from secrets import token_hex
from urllib.parse import unquote

from penjing.engines.engine import Engine
from penjing.errors import EngineLoading, InputError, ModelNotFound, PenjingError
from penjing.gateway import models, observe
from penjing.gateway.answer import Answer, leave
from penjing.gateway.ask import Ask, Route
from penjing.gateway.dialects.openai import convert, errors, wire
from penjing.gateway.dialects.openai.check import check
from penjing.gateway.dialects.openai.rewrite import for_engine
from penjing.gateway.health import LIVE, health
from penjing.gateway.merge import merged, several
from penjing.gateway.metrics import CONTENT_TYPE, render
from penjing.gateway.options import GatewayOptions
from penjing.gateway.policies.keys import Keys
from penjing.gateway.policies.policy import chain, policies
from penjing.gateway.reasoning import left_out
from penjing.gateway.relay import EVENT_STREAM, STREAM_HEADERS, Relay
from penjing.gateway.reply import Headers, Incoming, Reply
from penjing.gateway.upstream import Pool
from penjing.messages import Chunk, Event, Failure

log = logging.getLogger(__name__)

JSON = errors.JSON
WAITING = 32
"""Requests an engine may hold beyond its slots; the rest wait here, where a client that leaves costs nothing."""
CLIENT_LEFT = 499
ROUTES = {
    route.path: route
    for route in (
        Route("/v1/chat/completions", wire.ChatBody),
        Route("/v1/completions", wire.CompletionBody),
        Route("/v1/embeddings", wire.EmbeddingBody),
    )
}
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


class Broken(PenjingError):
    """A fault of ours. Facts: `reference`, to be found in the log."""

    template = "Something went wrong inside the server (reference {reference})."


class Gateway:
    """Answers requests with `engines`, by the name clients ask for; the first one answers where none is named."""

    def __init__(self, engines: Mapping[str, Engine], options: GatewayOptions | None = None) -> None:
        self.engines = dict(engines)
        self.options = options or GatewayOptions()
        self.observed = observe.Observed()
        self.failed: dict[str, PenjingError] = {}
        """Engines that could not be started, and why."""
        self._keys = Keys(self.options.api_keys)
        self._call = chain(policies(self.options), self._engine)
        self._pools: dict[str, Pool] = {}
        self._pages: dict[str, Callable[[Incoming], Awaitable[tuple[int, bytes, bytes]]]] = {
            "/v1/models": self._models,
            "/health": self._health,
            "/metrics": self._metrics,
            "/openapi.json": self._openapi,
        }

    async def __call__(self, incoming: Incoming, reply: Reply) -> None:
        """Answer one request; every error becomes one in OpenAI's shape."""
        watch = observe.Watch(self.observed)
        self.observed.in_flight.add()
        route = ROUTES.get(incoming.path)
        try:
            self._cross_origin(incoming, reply)
            if route is not None and incoming.method == "POST":
                await self._ask(Ask(route, incoming), reply, watch)
            else:
                await self._page(incoming, reply)
        except PenjingError as error:
            refuse(reply, error)
        except asyncio.CancelledError:
            reply.status = CLIENT_LEFT
            raise
        except Exception:
            reference = token_hex(4)
            log.exception("request failed, reference %s", reference)
            refuse(reply, Broken(reference=reference))
        finally:
            self.observed.in_flight.add(by=-1)
            known = incoming.path if route is not None or incoming.path in PAGES else ""
            watch.end(known, reply.status)

    # models

    async def _ask(self, ask: Ask, reply: Reply, watch: observe.Watch) -> None:
        events = await self._call(ask)
        watch.named(self._chosen(ask.model)[0])
        try:
            if isinstance(events, Answer):
                await self._pass_on(events, reply, watch)
            else:
                await self._write(ask, events, reply, watch)
        finally:
            await leave(events)

    async def _engine(self, ask: Ask) -> AsyncIterable[Event]:
        """The end of the chain. Raises ModelNotFound, EngineError, InputError."""
        name, engine = self._chosen(ask.model)
        if name in self.failed:
            raise self.failed[name]
        capabilities = engine.capabilities
        check(ask.wire, capabilities)
        body = for_engine(ask.incoming.body, ask.wire, capabilities)
        send = partial(self._send, self._pool(name, engine), ask.route.path)
        if not several(ask.wire):
            answer: AsyncIterable[Chunk] = await send(body)
        else:
            answer = await merged(body, ask.wire, send)
        if getattr(ask.wire, "return_reasoning", None) is False:
            return left_out(answer, ask.stream)
        return answer

    async def _send(self, pool: Pool, path: str, body: bytes) -> Answer:
        """The engine's answer if it is one. Raises EngineError, InputError."""
        answer = await pool.ask("POST", path, body)
        if answer.status == 200:
            return answer
        try:
            raise errors.engine_error(answer.status, await answer.read(), pool.model)
        finally:
            answer.cancel()

    def _chosen(self, model: str) -> tuple[str, Engine]:
        if not model and self.engines:
            return next(iter(self.engines.items()))
        try:
            return model, self.engines[model]
        except KeyError:
            raise NoSuchModel(model=model, known=", ".join(self.engines), param="model") from None

    def _pool(self, name: str, engine: Engine) -> Pool:
        address = engine.address
        pool = self._pools.get(name)
        if pool is None or (pool.address is not address and pool.address != address):
            if pool is not None:
                pool.close()
            slots = engine.capabilities.slots
            pool = self._pools[name] = Pool(name, address, slots + WAITING, slots)
        return pool

    async def _pass_on(self, answer: Answer, reply: Reply, watch: observe.Watch) -> None:
        if answer.streams:
            await Relay(answer, reply, watch).run()
        else:
            body = await answer.read()
            watch.usage = observe.counts(body)
            reply.send(200, JSON, body)

    async def _write(self, ask: Ask, events: AsyncIterable[Event], reply: Reply, watch: observe.Watch) -> None:
        """Events that a policy made or changed."""
        if not ask.stream:
            body = b"".join([_bytes(event, ask.model, "") async for event in events])
            watch.usage = observe.counts(body)
            reply.send(200, JSON, body)
            return
        identity = f"chatcmpl-{token_hex(12)}"
        before = last = b""
        try:
            async for event in events:
                before, last = last, _bytes(event, ask.model, identity)
                watch.tokens(last.count(observe.EVENT))
                if reply.started:
                    reply.write(last)
                else:
                    reply.begin(200, EVENT_STREAM, STREAM_HEADERS, last)
                await reply.drained()
        except PenjingError as error:
            if not reply.started:
                raise
            reply.end(errors.error_event(error))
            return
        watch.usage = observe.last_counts(before + last)
        reply.end()

    # pages

    async def _page(self, incoming: Incoming, reply: Reply) -> None:
        path = incoming.path.rstrip("/") or "/"
        if incoming.method == "OPTIONS":
            reply.send(204, JSON, b"")
        elif path in ROUTES:
            raise MethodNotAllowed(method=incoming.method, path=path, allowed="POST")
        elif incoming.method not in ("GET", "HEAD") and (path in PAGES or path.startswith("/v1/models/")):
            raise MethodNotAllowed(method=incoming.method, path=path, allowed="GET")
        elif path in self._pages:
            reply.send(*await self._pages[path](incoming))
        elif path.startswith("/v1/models/"):
            self._keys.admit(incoming.headers)
            name, engine = self._chosen(unquote(path.removeprefix("/v1/models/")))
            reply.send(200, JSON, models.one(name, engine))
        else:
            known = (*ROUTES, *PAGES)
            close = get_close_matches(path, known, 2, 0.6) or known
            raise PathNotFound(path=path, known=", ".join(close))

    async def _models(self, incoming: Incoming) -> tuple[int, bytes, bytes]:
        self._keys.admit(incoming.headers)
        return 200, JSON, models.listed(self.engines)

    async def _health(self, incoming: Incoming) -> tuple[int, bytes, bytes]:
        if incoming.query.startswith("live"):
            return 200, JSON, LIVE
        status, body = await health(self.engines, self.failed)
        return status, JSON, body

    async def _metrics(self, incoming: Incoming) -> tuple[int, bytes, bytes]:
        self._keys.admit(incoming.headers)
        of_engines = await models.metrics(self.engines, self._pools)
        return 200, CONTENT_TYPE, render((*self.observed.all(), *of_engines))

    async def _openapi(self, incoming: Incoming) -> tuple[int, bytes, bytes]:
        from penjing.gateway.openapi import document

        return 200, JSON, document()

    def _cross_origin(self, incoming: Incoming, reply: Reply) -> None:
        origin = incoming.headers.get(b"origin")
        allowed = self.options.cors
        if origin is None or not ("*" in allowed or origin.decode("latin-1") in allowed):
            return
        reply.extra = ((b"Access-Control-Allow-Origin", origin), (b"Vary", b"Origin"))
        if incoming.method == "OPTIONS":
            reply.extra += (
                (b"Access-Control-Allow-Methods", b"GET, POST, OPTIONS"),
                (b"Access-Control-Allow-Headers", b"Authorization, Content-Type"),
                (b"Access-Control-Max-Age", b"600"),
            )

    def close(self) -> None:
        """Let go of the links to engines."""
        for pool in self._pools.values():
            pool.close()


def _bytes(event: Event, model: str, identity: str) -> bytes:
    if isinstance(event, Chunk):
        return event.body
    if isinstance(event, Failure):
        said = {"message": event.message, "type": event.kind, "param": None, "code": event.code}
        return convert.sse({"error": said})
    return convert.encode(event, model, identity)


def refuse(reply: Reply, error: PenjingError) -> None:
    """`error` as the whole answer, or where one has begun, as its break."""
    if reply.started:
        if not reply.ended:
            reply.cut()
        return
    headers: Headers = ()
    if error.status in (429, 503):
        seconds = error.facts.get("seconds", 1)
        headers = ((b"Retry-After", str(seconds).encode()),)
    if isinstance(error, EngineLoading):
        headers = ((b"Retry-After", b"2"),)
    if error.status == 401:
        headers = ((b"WWW-Authenticate", b"Bearer"),)
    if isinstance(error, MethodNotAllowed):
        headers = ((b"Allow", str(error.facts["allowed"]).encode()),)
    reply.send(error.status, JSON, errors.error_body(error), headers)
