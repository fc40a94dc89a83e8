"""The gateway itself: every path, from request to reply.

Does not know: sockets (`http`, `upstream`), what is in a body (`dialects`), processes (`engines`, `operate`).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterable, Mapping
from functools import partial
from secrets import token_hex

from penjing.engines.engine import Engine
from penjing.errors import EngineStartFailed, PenjingError
from penjing.gateway import observe
from penjing.gateway.answer import Answer, leave
from penjing.gateway.ask import Ask, Route
from penjing.gateway.dialects.openai import convert, errors, wire
from penjing.gateway.dialects.openai.check import check
from penjing.gateway.dialects.openai.logprobs import old_logprobs
from penjing.gateway.dialects.openai.reasoning import left_out
from penjing.gateway.dialects.openai.rewrite import for_engine
from penjing.gateway.merge import Send, merged, several
from penjing.gateway.options import GatewayOptions
from penjing.gateway.origin import Origins
from penjing.gateway.pages import PAGES, MethodNotAllowed, Pages, chosen
from penjing.gateway.policies.keys import Keys
from penjing.gateway.policies.policy import chain, policies
from penjing.gateway.relay import EVENT_STREAM, STREAM_HEADERS, Relay
from penjing.gateway.reply import Headers, Incoming, Reply
from penjing.gateway.upstream import Pool
from penjing.gateway.whole import whole
from penjing.messages import Chunk, Event, Failure

log = logging.getLogger(__name__)

JSON = errors.JSON
WAITING = 32
"""Requests an engine may hold beyond its slots; the rest wait here, where a client that leaves costs nothing."""
UNTOLD_SLOTS = 64
"""For an engine that does not say how many requests it works on at once: a remote one."""
CLIENT_LEFT = 499
RETRY_SECONDS = 1
ROUTES = {
    route.path: route
    for route in (
        Route("/v1/chat/completions", wire.ChatBody),
        Route("/v1/completions", wire.CompletionBody),
        Route("/v1/embeddings", wire.EmbeddingBody),
    )
}


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
        self._pages = Pages(self.engines, self.failed, self._pools, self.observed, self._keys)
        self._origins = Origins(self.options.cors)

    async def __call__(self, incoming: Incoming, reply: Reply) -> None:
        """Answer one request; every error becomes one in OpenAI's shape."""
        watch = observe.Watch(self.observed)
        self.observed.in_flight.add()
        route = ROUTES.get(incoming.path)
        ask = Ask(route, incoming) if route is not None and incoming.method == "POST" else None
        try:
            reply.extra = self._origins.admit(incoming)
            if ask is not None:
                await self._ask(ask, reply, watch)
            else:
                reply.send(*await self._pages.page(incoming, ROUTES))
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
            if ask is not None and ask.parsed and ask.model in self.engines:
                watch.named(ask.model)
            watch.end(incoming.path if ask is not None or incoming.path in PAGES else "", reply.status)

    # models

    async def _ask(self, ask: Ask, reply: Reply, watch: observe.Watch) -> None:
        events = await self._call(ask)
        try:
            watch.named(ask.model or next(iter(self.engines), ""))
            if isinstance(events, Answer):
                await self._pass_on(events, reply, watch)
            else:
                await self._write(ask, events, reply, watch)
        finally:
            await leave(events)

    async def _engine(self, ask: Ask) -> AsyncIterable[Event]:
        """The end of the chain. Raises ModelNotFound, EngineError, InputError."""
        name, engine = chosen(self.engines, ask.model)
        if name in self.failed:
            raise self.failed[name]
        capabilities = engine.capabilities
        check(ask.wire, capabilities)
        body = for_engine(ask.incoming.body, ask.wire, capabilities)
        send: Send = partial(self._send, self._pool(name, engine), ask.route.path)
        if not (ask.stream or capabilities.hears_leaving or isinstance(ask.wire, wire.EmbeddingBody)):
            send = partial(whole, send)
        if not several(ask.wire):
            answer: AsyncIterable[Chunk] = await send(body)
        else:
            answer = await merged(body, ask.wire, send)
        if getattr(ask.wire, "return_reasoning", None) is False:
            return left_out(answer, ask.stream)
        if isinstance(ask.wire, wire.CompletionBody) and ask.wire.logprobs is not None:
            return old_logprobs(answer, ask.stream)
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

    def _pool(self, name: str, engine: Engine) -> Pool:
        address = engine.address
        pool = self._pools.get(name)
        if pool is None or (pool.address is not address and pool.address != address):
            if pool is not None:
                pool.close()
            slots = engine.capabilities.slots or UNTOLD_SLOTS
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
    if error.status == 429:
        headers = ((b"Retry-After", str(error.facts.get("seconds", RETRY_SECONDS)).encode()),)
    elif error.status == 503 and not isinstance(error, EngineStartFailed):  # what gave up does not come back
        headers = ((b"Retry-After", b"%d" % RETRY_SECONDS),)
    elif error.status == 401:
        headers = ((b"WWW-Authenticate", b"Bearer"),)
    elif isinstance(error, MethodNotAllowed):
        headers = ((b"Allow", str(error.facts["allowed"]).encode()),)
    reply.send(error.status, JSON, errors.error_body(error), headers)
