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
import sys
import threading
from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any

from penjing.engines.engine import Engine
from penjing.engines.remote import Unreachable
from penjing.errors import EngineStartFailed, MachineError, PenjingError, PortInUse
from penjing.gateway.app import Gateway
from penjing.gateway.dialects.openai.errors import protocol_refusal
from penjing.gateway.http import Server

log = logging.getLogger(__name__)

BACKLOG = 4096
FILES = 65536
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


def run(
    gateway: Gateway,
    host: str = "127.0.0.1",
    port: int = 8000,
    *,
    announce: Announce = lambda said: None,
    drain_seconds: float = DRAIN_SECONDS,
    reload: Callable[[], None] | None = None,
    beside: Sequence[Beside] = (),
) -> None:
    """Serve until a signal; SIGHUP calls `reload`. Raises PortInUse, CannotBind, and what an engine's start raises when
    none can start."""
    listener = bind(host, port)
    _more_files()
    _settle()
    with listener:
        _run(serve(gateway, listener, announce=announce, drain_seconds=drain_seconds, reload=reload, beside=beside))


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
) -> None:
    """Serve on `listener` until a signal or until the task is cancelled; the engines are stopped at the end."""
    loop = asyncio.get_running_loop()
    server = Server(gateway, protocol_refusal, _log_broken, gateway.house.options.limits, gateway.table.sockets)
    url, stop, cut = url_of(listener), asyncio.Event(), asyncio.Event()
    with _signals(loop, stop, cut, reload):
        accepting = await loop.create_server(server.connection, sock=listener, backlog=BACKLOG)
        announce(Said("listening", url, open=_open(listener, gateway)))
        starting = loop.create_task(_start(gateway, lambda: announce(Said("ready", url))))
        retrying = loop.create_task(_retry(gateway, starting))
        working = [loop.create_task(_after(starting, work)) for work in beside]
        stopping = loop.create_task(stop.wait())
        try:
            await asyncio.wait([starting, stopping], return_when=asyncio.FIRST_COMPLETED)
            if starting.done():
                starting.result()
            await stopping
            accepting.close()
            announce(Said("draining", url, left=sum(each.busy for each in server.connections)))
            draining = loop.create_task(server.drain(drain_seconds))
            cutting = loop.create_task(cut.wait())
            await asyncio.wait([draining, cutting], return_when=asyncio.FIRST_COMPLETED)
            cutting.cancel()
            draining.cancel()
        finally:
            accepting.close()
            left = server.cut()
            if left:
                announce(Said("cut", url, left=left))
            await _end(starting, stopping, retrying, *working)
            gateway.close()
            await asyncio.gather(*(engine.stop() for engine in gateway.engines.values()))


async def _start(gateway: Gateway, ready: Callable[[], None]) -> None:
    """Start every engine; raises when none could be started."""

    async def one(name: str, engine: Engine) -> None:
        try:
            await engine.start()
        except PenjingError as error:
            gateway.house.failed[name] = error
        except Exception as error:  # a fault of ours or of the library: the other engines go on
            log.exception("%s could not be started", name)
            gateway.house.failed[name] = EngineStartFailed(model=name, detail=repr(error))

    await asyncio.gather(*(one(name, engine) for name, engine in gateway.engines.items()))
    if gateway.house.failed and len(gateway.house.failed) == len(gateway.engines):
        raise next(iter(gateway.house.failed.values()))
    ready()


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
def _signals(
    loop: asyncio.AbstractEventLoop, stop: asyncio.Event, cut: asyncio.Event, reload: Callable[[], None] | None
) -> Iterator[None]:
    """SIGINT and SIGTERM set `stop`, the second one `cut`; SIGHUP calls `reload`."""
    with ExitStack() as undo:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                _on_signal(loop, number, lambda: (cut if stop.is_set() else stop).set(), undo)
            if reload is not None and sys.platform != "win32":
                _on_signal(loop, signal.SIGHUP, reload, undo)
        yield


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


def url_of(listener: socket.socket) -> str:
    """The URL to type for a listening socket."""
    host, port = listener.getsockname()[:2]
    address = ip_address(host)
    if address.is_unspecified:
        host = "127.0.0.1" if address.version == 4 else "::1"
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


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
