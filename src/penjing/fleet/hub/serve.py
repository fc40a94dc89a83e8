"""`penjing hub serve`: the hub as a process. The first start makes a key for publishers (`PENJING_HOME/hub/admin.key`).

Each request is a line of JSON in the log: when, who from, what, status, bytes, seconds.

Does not know: what is printed.
"""

from __future__ import annotations

import json
import secrets
import sys
import time
from collections.abc import Awaitable, Callable
from functools import partial
from typing import TYPE_CHECKING, Any, TextIO

from penjing.files import write_whole
from penjing.fleet.faults import ExtraMissing
from penjing.fleet.settings import HubSettings, folder, key_path, url_path

if TYPE_CHECKING:
    from penjing.fleet.hub.ledger import Ledger

ADMIN = "admin"
DRAIN_SECONDS = 10


def run(settings: HubSettings, listening: Callable[[str, bool], None]) -> None:
    """Serve until SIGINT or SIGTERM. `listening` is told the URL, and whether the key was made now. Raises
    ExtraMissing, BadDatabase, BadBlobs, PortInUse, CannotBind."""
    try:
        import fastapi
        import sqlalchemy  # noqa: F401  # looked for before anything is made
        import uvicorn
    except ImportError as error:
        raise ExtraMissing(detail=error.name) from error
    from penjing.fleet.hub import blobs, tables
    from penjing.fleet.hub.app import app
    from penjing.fleet.hub.ledger import Ledger
    from penjing.gateway.serve import bind, url_of

    folder().mkdir(parents=True, exist_ok=True, mode=0o700)
    kept = blobs.place(settings.blobs or str(folder() / "blobs"))
    database = settings.database or f"sqlite:///{folder() / 'hub.sqlite'}"
    ledger = Ledger(tables.opened(database), settings.every, settings.mirrors)
    made = _admit(ledger)
    with bind(settings.host, settings.port) as listener:
        hub: Any = app(ledger, kept, private=settings.private)
        assert isinstance(hub, fastapi.FastAPI)
        if settings.log is not None:
            settings.log.parent.mkdir(parents=True, exist_ok=True)
            hub = Logged(hub, settings.log.open("a", buffering=1, encoding="utf-8"))
        options = uvicorn.Config(
            hub, log_level="warning", access_log=False, timeout_graceful_shutdown=DRAIN_SECONDS, server_header=False
        )
        write_whole(url_path(), url_of(listener).encode() + b"\n")
        server: Any = uvicorn.Server(options)
        server.startup = partial(_started, server, server.startup, partial(listening, url_of(listener), made))
        server.run(sockets=[listener])


async def _started(server: Any, begin: Callable[..., Awaitable[None]], tell: Callable[[], None], **given: Any) -> None:
    """Who reads the URL may press Ctrl-C at once: it is told only when signals are heard, since Python can lose the
    KeyboardInterrupt that they were until then (in a weak reference's callback, for one)."""
    await begin(**given)
    if server.started:
        tell()


def _admit(ledger: Ledger) -> bool:
    """Let the key on disk publish; whether it had to be made."""
    path = key_path()
    made = not path.exists()
    if made:
        write_whole(path, secrets.token_urlsafe(24).encode() + b"\n", private=True)
    ledger.admit_publisher(ADMIN, path.read_text(encoding="ascii").strip())
    return made


class Logged:
    """An ASGI application, with a line for each request once it is over. What it could not write it says on stderr."""

    def __init__(self, inner: Callable[..., Awaitable[None]], stream: TextIO) -> None:
        self._inner, self._stream = inner, stream

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            await self._inner(scope, receive, send)
            return
        began, status, sent = time.perf_counter(), 0, 0

        async def count(message: dict[str, Any]) -> None:
            nonlocal status, sent
            status = message.get("status", status)
            await send(message)
            sent += len(message.get("body", b""))

        try:
            await self._inner(scope, receive, count)
        finally:
            line = {
                "at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
                "peer": (scope.get("client") or ("",))[0],
                "method": scope["method"],
                "path": scope["path"],
                "status": status,
                "bytes": sent,
                "seconds": round(time.perf_counter() - began, 4),
            }
            try:
                self._stream.write(json.dumps(line) + "\n")
            except OSError as error:
                print(f"the hub's log cannot be written: {error}", file=sys.stderr)
