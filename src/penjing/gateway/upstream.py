"""HTTP/1.1 as a client: from the gateway to an engine's address.

Keep-alive links over a Unix socket or TCP, a bounded number at work at once; the rest wait in line, first come first
served.

Does not know: what comes over a link (`link` does), dialects, clients.
"""

from __future__ import annotations

import asyncio
import ssl
from collections import deque
from urllib.parse import urlsplit

from penjing.engines.engine import Address
from penjing.errors import EngineDied, EngineError
from penjing.gateway.answer import Answer
from penjing.gateway.beat import Beats
from penjing.gateway.link import EngineProtocol as EngineProtocol
from penjing.gateway.link import Link
from penjing.gateway.patience import Patience, TooSlow
from penjing.gateway.silence import Silence

IDLE_SECONDS = 4.0
"""A link that rested longer is not used again: llama.cpp's server closes after 5 s."""
REQUESTS_PER_LINK = 90
"""llama.cpp's server closes a link after 100 requests."""
STALE_SECONDS = 0.25
"""A reused link that breaks so soon, without a byte, was already closed by the other side: ask again once."""
CONNECT_SECONDS = 10.0
SWEEP_SECONDS = 1.0


class EngineUnreachable(EngineError):
    """Facts: `model`, `detail`."""

    template = "The engine of {model} cannot be reached: {detail}"
    hint = "It is being started again; try in a second. /health says how it is."
    code = "engine_unreachable"
    status = 503


class Pool:
    """The links to one address. At most `limit` requests are at work at once, at most `idle` links rest. An engine
    that says nothing for as long as `silence` allows is given up."""

    def __init__(self, model: str, address: Address, limit: int, idle: int, silence: Silence | None = None) -> None:
        self.model = model
        self.address = address
        self.active = 0
        self.beats = Beats()
        self.silence = silence or Silence()
        self._limit = limit
        self._idle_limit = idle
        self._idle: list[Link] = []
        self._at_work: set[Link] = set()
        self._sweep: asyncio.TimerHandle | None = None
        self._line: deque[asyncio.Future[None]] = deque()
        parts = urlsplit(address.url)
        self._tls = ssl.create_default_context() if parts.scheme == "https" and not address.socket else None
        self._host = parts.hostname or "localhost"
        self._port = parts.port or (443 if self._tls else 80)
        self._path = parts.path.rstrip("/")
        host = parts.netloc.rpartition("@")[2] or self._host  # an IPv6 address in its brackets
        self._lines = "".join(f"\r\n{name}: {value}" for name, value in {"Host": host, **address.headers}.items())
        self._heads: dict[tuple[str, str], bytes] = {}

    @property
    def queued(self) -> int:
        """Requests waiting for their turn."""
        return sum(not turn.done() for turn in self._line)

    async def ask(self, method: str, path: str, body: bytes = b"") -> Answer:
        """Send a request; returns once the head of the answer is here. Raises EngineUnreachable, EngineDied,
        EngineProtocol, EngineSilent. Cancelling it closes the connection, which stops the engine's work."""
        request = b"%b%d\r\n\r\n%b" % (self._head(method, path), len(body), body)
        await self._turn()
        link = self._rested()
        if link is not None:
            began = asyncio.get_running_loop().time()
            try:
                return await self._send(link, request)
            except EngineDied:
                if link.touched or asyncio.get_running_loop().time() - began > STALE_SECONDS:
                    raise
            await self._turn()
        return await self._send(await self._connect(), request)

    def _head(self, method: str, path: str) -> bytes:
        """The head of a request up to the length of its body; few paths are ever asked."""
        head = self._heads.get((method, path))
        if head is None:
            lines = f"{self._lines}\r\nContent-Type: application/json\r\nContent-Length: "
            head = self._heads[method, path] = f"{method} {self._path}{path} HTTP/1.1{lines}".encode("latin-1")
        return head

    async def _send(self, link: Link, request: bytes) -> Answer:
        head = link.ask(request)
        self._at_work.add(link)
        if self._sweep is None:
            self._sweep = asyncio.get_running_loop().call_later(self.silence.step or SWEEP_SECONDS, self._look)
        try:
            return await head
        except asyncio.CancelledError:
            link.abort()
            raise

    async def _turn(self) -> None:
        if self.active < self._limit:
            self.active += 1
            return
        turn = asyncio.get_running_loop().create_future()
        self._line.append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self._pass_on()
            raise

    def _pass_on(self) -> None:
        # The place of a finished request goes to the next in line, so `active` stays, or is given back.
        while self._line:
            turn = self._line.popleft()
            if not turn.done():
                turn.set_result(None)
                return
        self.active -= 1

    def release(self, link: Link) -> None:
        """`link`'s request is over; the link rests if it can be used again."""
        self._at_work.discard(link)
        if not link.closed:
            if link.used < REQUESTS_PER_LINK and len(self._idle) < self._idle_limit:
                link.idle_since = asyncio.get_running_loop().time()
                self._idle.append(link)
            else:
                link.closed = True
                link.transport.close()
        self._pass_on()

    def _look(self) -> None:
        """Give up engines that are silent, and links that rested too long."""
        loop = asyncio.get_running_loop()
        now = loop.time()
        for link in tuple(self._at_work):
            link.listen(now)
        while self._idle and self._idle[0].idle_since < now - IDLE_SECONDS:
            self._idle.pop(0).abort()
        again = self._at_work or self._idle
        self._sweep = loop.call_later(self.silence.step or SWEEP_SECONDS, self._look) if again else None

    def _rested(self) -> Link | None:
        oldest = asyncio.get_running_loop().time() - IDLE_SECONDS
        while self._idle:
            link = self._idle.pop()
            if not (link.closed or link.transport.is_closing()) and link.idle_since > oldest:
                return link
            link.abort()
        return None

    async def _connect(self) -> Link:
        loop = asyncio.get_running_loop()
        try:
            if self.address.socket:
                opening = loop.create_unix_connection(lambda: Link(self), self.address.socket)
            else:
                opening = loop.create_connection(lambda: Link(self), self._host, self._port, ssl=self._tls)
            # Not wait_for: before Python 3.12 it loses a cancellation that comes as the connection does.
            with Patience(self.model, CONNECT_SECONDS):
                _, link = await opening
        except (OSError, TooSlow) as error:
            self._pass_on()
            detail = str(error) if isinstance(error, OSError) else ""
            raise EngineUnreachable(model=self.model, detail=detail or "no answer") from error
        except asyncio.CancelledError:
            self._pass_on()
            raise
        return link

    def close(self) -> None:
        """Close the resting links; those at work close when their answers end."""
        if self._sweep is not None and not self._at_work:
            self._sweep.cancel()
        self._idle_limit = 0
        while self._idle:
            self._idle.pop().abort()
