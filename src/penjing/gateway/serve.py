"""From a gateway to a listening process: bind, start the engines, serve, drain.

The port is taken first, so that a taken one is told before a model is loaded, and /health answers while one loads.
The first SIGINT or SIGTERM stops accepting and lets running answers finish; the second cuts them.

Does not know: what is printed (`announce` is told).
"""

from __future__ import annotations

import asyncio
import errno
import gc
import logging
import signal
import socket
import ssl
import sys
import threading
from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from ipaddress import ip_address
from typing import Any

from penjing.engines.engine import Engine
from penjing.engines.remote import Unreachable
from penjing.errors import EngineStartFailed, MachineError, PenjingError, PortInUse
from penjing.gateway.app import Gateway
from penjing.gateway.dialects.openai.errors import protocol_refusal
from penjing.gateway.hold import BACKLOG, GRACE, Hold
from penjing.gateway.http import Server

log = logging.getLogger(__name__)

FILES = 65536
STOPS = (signal.SIGINT, signal.SIGTERM)
YOUNG = 20_000
"""New objects after which the collector looks at the youngest."""
HIGHEST_PORT = 65535
DRAIN_SECONDS = 30.0
RETRY_SECONDS, LONGEST_RETRY_SECONDS = 1.0, 30.0
NEARBY = 50


class CannotBind(MachineError):
    """Facts: `host`, `port`, `detail`."""

    template = "Cannot listen on {host} port {port}: {detail}"
    hint = "Give an address of this machine (--host 127.0.0.1) and a port above 1023."
    code = "cannot_bind"


@dataclass(frozen=True)
class Said:
    """What `announce` is told: `event` is `listening` (before the models are loaded), `ready`, `draining` or `cut`;
    `open` when anyone on the network may use it without a key."""

    event: str
    url: str
    open: bool = False
    left: int = 0


Announce = Callable[[Said], None]
Beside = Callable[[], Coroutine[Any, Any, None]]
"""Work that goes on while a server runs, from the moment its engines are ready; cancelled before they are stopped."""
Before = Callable[[], Coroutine[Any, Any, None]]
"""What a server that takes over waits for before it starts its engines. It accepts nothing until they are ready."""
Relieved = Callable[[Hold], Coroutine[Any, Any, None]]
"""Work that may let another process take over."""


def run(
    gateway: Gateway,
    host: str = "127.0.0.1",
    port: int = 8000,
    *,
    announce: Announce = lambda said: None,
    drain_seconds: float = DRAIN_SECONDS,
    reload: Callable[[], None] | None = None,
    beside: Sequence[Beside] = (),
    listener: socket.socket | None = None,
    before: Before | None = None,
    relieved: Relieved | None = None,
    tls: ssl.SSLContext | None = None,
) -> None:
    """Serve until a signal; SIGHUP calls `reload`. `listener` is one that another process hands over; with `tls` it is
    HTTPS. Raises PortInUse, CannotBind, and what an engine's start raises when none can start."""
    listener = listener or bind(host, port)
    _more_files()
    _settle()
    with listener:
        _run(
            serve(
                gateway,
                listener,
                announce=announce,
                drain_seconds=drain_seconds,
                reload=reload,
                beside=beside,
                before=before,
                relieved=relieved,
                tls=tls,
            )
        )


def bind(host: str, port: int) -> socket.socket:
    """A listening socket; port 0 takes a free one. Raises PortInUse, CannotBind."""
    if not 0 <= port <= HIGHEST_PORT:  # getaddrinfo would take it modulo 65536
        raise CannotBind(host=host, port=port, detail=f"ports end at {HIGHEST_PORT}")
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
    except OSError as error:
        raise CannotBind(host=host, port=port, detail=str(error)) from error
    listener = socket.socket(family, kind, protocol)
    try:
        if sys.platform != "win32":
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(BACKLOG)
    except OSError as error:
        listener.close()
        if error.errno == errno.EADDRINUSE:
            raise PortInUse(host=host, port=port, free=free_port(host, port)) from error
        raise CannotBind(host=host, port=port, detail=error.strerror or str(error)) from error
    listener.setblocking(False)
    return listener


def free_port(host: str, near: int) -> int:
    """A port that is free now, the next one above `near` if it can be."""
    nearby = range(near + 1, min(near + NEARBY, HIGHEST_PORT + 1))
    return next((port for port in (*nearby, 0) if _is_free(host, port)), 0)


def _is_free(host: str, port: int) -> bool:
    family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    with socket.socket(family, kind, protocol) as probe:
        try:
            probe.bind(address)
        except OSError:
            return False
    return True


async def serve(
    gateway: Gateway,
    listener: socket.socket,
    *,
    announce: Announce = lambda said: None,
    drain_seconds: float = DRAIN_SECONDS,
    reload: Callable[[], None] | None = None,
    beside: Sequence[Beside] = (),
    before: Before | None = None,
    relieved: Relieved | None = None,
    tls: ssl.SSLContext | None = None,
) -> None:
    """Serve on `listener` until a signal, until another process has taken over, or until the task is cancelled; the
    engines are stopped at the end."""
    loop = asyncio.get_running_loop()
    server = Server(gateway, protocol_refusal, _log_broken, gateway.house.options.limits, gateway.table.sockets)
    hold = Hold(gateway, server, listener, tls)
    url = url_of(listener, "https" if tls else "http")

    async def ready() -> None:
        await hold.open()
        announce(Said("ready", url))

    with _signals(loop, hold, reload):
        if before is None:
            await hold.open()
            announce(Said("listening", url, open=_open(listener, gateway)))
        starting = loop.create_task(_start(gateway, ready, before))
        retrying = loop.create_task(_retry(gateway, starting))
        working = [loop.create_task(_after(starting, work)) for work in beside]
        ending = loop.create_task(hold.ending())
        relieving = [loop.create_task(_after(starting, partial(relieved, hold)))] if relieved else []
        try:
            await asyncio.wait([starting, ending], return_when=asyncio.FIRST_COMPLETED)
            if starting.done():
                starting.result()
            await ending
            await _drained(hold, server, working, drain_seconds, partial(Said, "draining", url), announce)
        finally:
            hold.close()
            left = server.cut()
            if left:
                announce(Said("cut", url, left=left))
            await _end(starting, ending, retrying, *working, *relieving)
            gateway.close()
            await asyncio.gather(*(engine.stop() for engine in gateway.engines.values()))


async def _drained(
    hold: Hold,
    server: Server,
    working: Sequence[asyncio.Task[None]],
    seconds: float,
    draining: Callable[..., Said],
    announce: Announce,
) -> None:
    """No new connections; running answers are finished or cut. Where another process answers the rest, they may take
    as long as they like."""
    loop = asyncio.get_running_loop()
    hold.close()
    if hold.leaving.is_set():
        await _end(*working)
        hold.left.set()
        emptying: asyncio.Task[Any] = loop.create_task(server.part(GRACE))
    else:
        announce(draining(left=sum(each.busy for each in server.connections)))
        emptying = loop.create_task(server.drain(seconds))
    cutting = loop.create_task(hold.cutting.wait())
    await asyncio.wait([emptying, cutting], return_when=asyncio.FIRST_COMPLETED)
    cutting.cancel()
    emptying.cancel()


async def _start(gateway: Gateway, ready: Callable[[], Coroutine[Any, Any, None]], before: Before | None) -> None:
    """Start every engine; raises when none could be started."""
    if before is not None:
        await before()

    async def one(name: str, engine: Engine) -> None:
        try:
            await engine.start()
        except PenjingError as error:
            gateway.house.failed[name] = error
        except Exception as error:  # a fault of ours or of the library: the other engines go on
            log.exception("%s could not be started", name)
            gateway.house.failed[name] = EngineStartFailed(model=name, detail=repr(error))

    own = {name: engine for name, engine in gateway.engines.items() if gateway.house.lane(name) == name}
    await asyncio.gather(*(one(name, engine) for name, engine in own.items()))
    if gateway.house.failed and len(gateway.house.failed) == len(own):
        raise next(iter(gateway.house.failed.values()))
    await ready()


async def _after(starting: asyncio.Task[None], work: Beside) -> None:
    await asyncio.wait([starting])
    if starting.cancelled() or starting.exception() is not None:
        return
    try:
        await work()
    except Exception:  # a fault of ours: the server goes on without it
        log.exception("work beside the server ended")


async def _retry(gateway: Gateway, starting: asyncio.Task[None]) -> None:
    """Ask servers that were not there when this one started again, until they are."""
    await asyncio.wait([starting])
    pause = RETRY_SECONDS
    while away := [name for name, error in gateway.house.failed.items() if isinstance(error, Unreachable)]:
        await asyncio.sleep(pause)
        pause = min(pause * 2, LONGEST_RETRY_SECONDS)
        for name in away:
            try:
                await gateway.engines[name].start()
            except PenjingError as error:  # noqa: PERF203  # nothing here must be fast
                gateway.house.failed[name] = error
            else:
                del gateway.house.failed[name]


async def _end(*tasks: asyncio.Task[Any]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


@contextmanager
def _signals(loop: asyncio.AbstractEventLoop, hold: Hold, reload: Callable[[], None] | None) -> Iterator[None]:
    """SIGINT and SIGTERM stop, the second one cuts; SIGHUP calls `reload`. Where another process has taken over,
    signals still reach it when the loop has ended."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    with ExitStack() as undo:
        for number in STOPS:
            _on_signal(loop, number, partial(hold.signalled, number), undo)
        if reload is not None and sys.platform != "win32":
            _on_signal(loop, signal.SIGHUP, reload, undo)
        yield
    if hold.leaving.is_set():
        for number in STOPS:
            signal.signal(number, lambda number, frame: hold.heard(number))


def _on_signal(
    loop: asyncio.AbstractEventLoop, number: signal.Signals, heard: Callable[[], None], undo: ExitStack
) -> None:
    try:
        loop.add_signal_handler(number, heard)
        undo.callback(loop.remove_signal_handler, number)
    except NotImplementedError:  # Windows
        before = signal.signal(number, lambda *_: loop.call_soon_threadsafe(heard))
        undo.callback(signal.signal, number, before)


def _more_files() -> None:
    """As many open files as are allowed, rather than the 1,024 that shells begin with: a stream takes two."""
    try:
        import resource
    except ImportError:  # Windows, which has no such limit
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = FILES if hard == resource.RLIM_INFINITY else min(FILES, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with suppress(ValueError, OSError):  # macOS allows fewer than it says
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def _settle() -> None:
    """What was loaded is there to stay: the collector need not look at it again, nor as often as by default. (Requests
    leave no cycles; the collector's looks took 4 % of the time of each, and the longest ones showed in p99.)"""
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG, 20, 20)


def url_of(listener: socket.socket, scheme: str = "http") -> str:
    """The URL to type for a listening socket."""
    host, port = listener.getsockname()[:2]
    address = ip_address(host)
    if address.is_unspecified:
        host = "127.0.0.1" if address.version == 4 else "::1"
    return f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"


def _open(listener: socket.socket, gateway: Gateway) -> bool:
    """Whether others than this machine can come in without a key."""
    return not ip_address(listener.getsockname()[0]).is_loopback and gateway.house.is_open


def _log_broken(error: BaseException) -> None:
    log.error("a reply broke", exc_info=error)


def _run(main: Coroutine[Any, Any, None]) -> None:
    """Run on uvloop where it is installed."""
    try:
        import uvloop
    except ImportError:
        asyncio.run(main)
    else:
        uvloop.run(main)
