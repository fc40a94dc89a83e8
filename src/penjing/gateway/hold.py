"""What a running server lets be done with itself: its door shut for a while, or left to another process for good.

The listening socket stays open as long as the server does not end, so that who comes while the door is shut waits in
the system's queue instead of being refused.

Does not know: who takes over, and how they agree.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from penjing.gateway.app import Gateway
    from penjing.gateway.http import Server

BACKLOG = 4096
GRACE = 3.0
"""Seconds that a connection at rest is kept when another process takes over: its client may be asking this moment, and
is then told in the answer that the connection ends."""


class Hold:
    """A hold on the server that answers with `gateway` on `listener`, through TLS where there is a context for it."""

    def __init__(
        self, gateway: Gateway, server: Server, listener: socket.socket, tls: ssl.SSLContext | None = None
    ) -> None:
        self.gateway = gateway
        self._tls = tls
        self.listener = listener
        self.stopping = asyncio.Event()
        """Somebody wants it to stop: set by the first signal."""
        self.heard: Callable[[int], None] = lambda number: None
        """Told of every signal."""
        self.cutting = asyncio.Event()
        """Now: set by the second signal."""
        self.leaving = asyncio.Event()
        """Another process answers what comes from now on."""
        self.left = asyncio.Event()
        """And nothing but running answers goes on here."""
        self._server = server
        self._accepting: asyncio.AbstractServer | None = None

    def signalled(self, number: int) -> None:
        """The first one stops, the second one cuts."""
        self.heard(number)
        (self.cutting if self.stopping.is_set() else self.stopping).set()

    async def ending(self) -> None:
        """Wait until it is told to stop or leaves."""
        waits = [asyncio.ensure_future(each.wait()) for each in (self.stopping, self.leaving)]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for each in waits:
                each.cancel()

    async def open(self) -> None:
        """Accept connections, as long as the door is not shut. (A copy of the socket, which asyncio closes.)"""
        if self._accepting is None:
            loop = asyncio.get_running_loop()
            self._accepting = await loop.create_server(
                self._server.connection, sock=self.listener.dup(), backlog=BACKLOG, ssl=self._tls
            )

    def shut(self) -> None:
        """Accept no more; who comes waits."""
        accepting, self._accepting = self._accepting, None
        if accepting is not None:
            accepting.close()

    def close(self) -> None:
        """Accept no more, and refuse who comes unless another process has the socket too."""
        self.shut()
        self.listener.close()

    async def make_room(self) -> None:
        """Finish what is being answered, while others wait, and free what the engines hold."""
        self.shut()
        await self._server.part(GRACE)
        await asyncio.gather(*(engine.stop() for engine in self.gateway.engines.values()))

    async def go_on(self) -> None:
        """After `make_room`: as before. Raises what starting the engines raises."""
        self._server.draining = False
        await asyncio.gather(*(engine.start() for engine in self.gateway.engines.values()))
        await self.open()

    async def leave(self) -> None:
        """Another process has the socket: this one finishes its answers and ends. Returns when it does nothing else any
        more."""
        self.leaving.set()
        await self.left.wait()
