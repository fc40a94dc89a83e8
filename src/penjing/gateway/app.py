"""The gateway itself: every request to its endpoint, page or refusal, and the answer in the client's dialect.

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
from penjing.gateway import made, observe, sse
from penjing.gateway.answer import Answer, leave
from penjing.gateway.ask import Ask, Outcome
from penjing.gateway.dialects.dialect import Dialect
from penjing.gateway.dialects.table import Table
from penjing.gateway.house import House
from penjing.gateway.options import GatewayOptions
from penjing.gateway.origin import Origins
from penjing.gateway.pages import PAGES, MethodNotAllowed, Pages
from penjing.gateway.policies.order import policies
from penjing.gateway.policies.policy import chain
from penjing.gateway.relay import STREAM_HEADERS, Relay
from penjing.gateway.reply import Headers, Incoming, Reply
from penjing.gateway.send import send
from penjing.gateway.site import Site
from penjing.messages import Event

log = logging.getLogger(__name__)

JSON = b"application/json"
CLIENT_LEFT = 499
RETRY_SECONDS = 1


class Broken(PenjingError):
    """A fault of ours. Facts: `reference`, to be found in the log."""

    template = "Something went wrong inside the server (reference {reference})."


class Gateway:
    """Answers requests with `engines`, by the name clients ask for; the first one answers where none is named."""

    def __init__(self, engines: Mapping[str, Engine], options: GatewayOptions | None = None) -> None:
        self.house = House(engines, options or GatewayOptions())
        self.table = Table()
        self._policies = policies(self.house, self.house.options.policies)
        self._call = chain(self._policies, partial(send, house=self.house))
        self._pages = Pages(self.house, self.table)
        self._site = Site(self.house)
        self._origins = Origins(self.house.options.cors, lambda: self.house.is_open)

    @property
    def engines(self) -> dict[str, Engine]:
        return self.house.engines

    async def __call__(self, incoming: Incoming, reply: Reply) -> None:
        """Answer one request; every error becomes one in the shape of the request's dialect."""
        observed = self.house.observed
        watch = observe.Watch(observed)
        observed.in_flight.add()
        endpoint = self.table.endpoint(incoming)
        ask = Ask(endpoint, incoming) if endpoint is not None else None
        try:
            reply.extra = self._origins.admit(incoming)
            if ask is not None:
                await self._ask(ask, reply, watch)
            elif not await self._site.answer(incoming, reply):
                reply.send(*await self._pages.page(incoming))
        except PenjingError as error:
            self._refuse(incoming, ask, reply, watch, error)
        except asyncio.CancelledError:
            if not watch.whole:
                reply.status = CLIENT_LEFT
            raise
        except Exception:  # whatever it is, the client gets an answer and the log what happened
            reference = token_hex(4)
            log.exception("request failed, reference %s", reference)
            self._refuse(incoming, ask, reply, watch, Broken(reference=reference))
        finally:
            observed.in_flight.add(by=-1)
            self._end(incoming, ask, reply, watch)

    def _refuse(
        self, incoming: Incoming, ask: Ask | None, reply: Reply, watch: observe.Watch, error: PenjingError
    ) -> None:
        watch.code = error.code
        if ask is not None:
            reply.extra = tuple(dict.fromkeys((*reply.extra, *ask.headers)))
        refuse(reply, error, self.table.dialect(incoming))

    def _end(self, incoming: Incoming, ask: Ask | None, reply: Reply, watch: observe.Watch) -> None:
        known = ask is not None or incoming.path in PAGES or incoming.path in self.table.pages
        if ask is not None and ask.parsed and ask.target in self.engines:
            watch.named(ask.target)
        seconds = watch.end(incoming.path if known else "", reply.status)
        if ask is not None:
            ask.ended(Outcome(reply.status, watch.code, watch.model, watch.usage, seconds, watch.ttft, ask.cached))

    # models

    async def _ask(self, ask: Ask, reply: Reply, watch: observe.Watch) -> None:
        events = await self._call(ask)
        try:
            watch.named(ask.target or next(iter(self.engines), ""))
            reply.extra += ask.headers
            if isinstance(events, Answer) and events.streams and ask.stream:
                await Relay(events, reply, watch, ask.endpoint.writer(ask), ask.taps).run()
            elif ask.stream:
                await self._stream(ask, events, reply, watch)
            else:
                await self._whole(ask, events, reply, watch)
        finally:
            await leave(events)

    async def _whole(self, ask: Ask, events: AsyncIterable[Event], reply: Reply, watch: observe.Watch) -> None:
        if isinstance(events, Answer):
            body = sse.required(await events.read())
        else:
            body = await made.gathered(events, ask.target)
        watch.usage = observe.counts(body)
        for tap in ask.taps:
            tap(body)
        reply.send(200, JSON, ask.endpoint.writer(ask).whole(body))

    async def _stream(self, ask: Ask, events: AsyncIterable[Event], reply: Reply, watch: observe.Watch) -> None:
        """A stream that is not one engine's untouched."""
        writer = ask.endpoint.writer(ask)
        before = last = b""
        try:
            async for data in made.streamed(events, ask.target):
                before, last = last, data
                for tap in ask.taps:
                    tap(data)
                watch.tokens(data.count(observe.EVENT))
                written = writer.write(data)
                if not reply.started:
                    reply.begin(200, writer.content_type, STREAM_HEADERS, written)
                elif written:
                    reply.write(written)
                if data.endswith(sse.LAST):
                    watch.told_all(before + last)
                await reply.drained()
        except PenjingError as error:
            if not reply.started:
                raise
            watch.status = watch.code = error.code
            reply.end(writer.failed(error))
            return
        watch.told_all(before + last)
        reply.end(writer.end())

    def reload(self, options: Mapping[str, object]) -> list[str]:
        """Give policies other options (by their names) while they run; those that can take them are named. Raises what
        a policy says of its options."""
        changed = []
        for name, value in options.items():
            for policy in self._policies:
                if getattr(policy, "takes", None) is type(value):
                    policy.reload(value)  # type: ignore[attr-defined]  # who `takes` options has it
                    changed.append(name)
        return changed

    def close(self) -> None:
        """Let go of the links to engines, and let policies finish what they keep."""
        for policy in self._policies:
            close = getattr(policy, "close", None)
            if close is not None:
                close()
        self.house.close()


def refuse(reply: Reply, error: PenjingError, dialect: Dialect) -> None:
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
    status, body = dialect.refusal(error)
    reply.send(status, JSON, body, headers)
