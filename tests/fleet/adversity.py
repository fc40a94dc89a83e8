"""What goes wrong between a hub and its devices: small disks, slow ways, mirrors that lie."""

from __future__ import annotations

import asyncio
import os
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest


@contextmanager
def small_disk(folder: Path, size: int) -> Iterator[Callable[[], None]]:
    """A file system of `size` bytes at `folder`; called, it becomes large enough."""
    folder.mkdir()
    if os.getuid() or subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", folder]).returncode:
        pytest.skip("a full disk needs a small file system, which only root may mount")
    try:
        yield lambda: subprocess.run(["mount", "-o", f"remount,size={size * 8}", folder], check=True) and None
    finally:
        subprocess.run(["umount", "-l", folder], check=True)


@contextmanager
def mirror(folder: Path) -> Iterator[str]:
    """A web server over plain files; its URL."""

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *words: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


PAUSE = 0.2
"""Seconds after each 64 KiB of the slow way: a release takes long enough to be cut."""


class Relay(threading.Thread):
    """Between its own port and `port`: lets 64 KiB through and rests, until `fast` is set."""

    def __init__(self, port: int) -> None:
        super().__init__()
        self._port = port
        self.fast = threading.Event()
        self.ready = threading.Event()
        self.url = ""

    def run(self) -> None:
        asyncio.run(self._serve())

    async def _serve(self) -> None:
        self._loop, self._over = asyncio.get_running_loop(), asyncio.Event()
        async with await asyncio.start_server(self._relay, "127.0.0.1", 0) as server:
            self.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
            self.ready.set()
            await self._over.wait()
            # asyncio.run cancels what still flows

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._over.set)
        self.join()

    async def _relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers = [writer]
        try:
            inner, outer = await asyncio.open_connection("127.0.0.1", self._port)
            writers.append(outer)
            await asyncio.gather(self._pipe(reader, outer), self._pipe(inner, writer))
        except (OSError, asyncio.CancelledError):  # one side was killed, or the test is over
            return
        finally:
            for each in writers:
                each.transport.abort()

    async def _pipe(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while piece := await reader.read(1 << 16):
            writer.write(piece)
            await writer.drain()
            if not self.fast.is_set() and len(piece) > 1 << 12:
                await asyncio.sleep(PAUSE)
        writer.close()


@contextmanager
def slow_way(port: int) -> Iterator[tuple[str, threading.Event]]:
    """A slow way to `port`: its URL, and an event that makes it fast."""
    relay = Relay(port)
    relay.start()
    relay.ready.wait()
    try:
        yield relay.url, relay.fast
    finally:
        relay.stop()
