"""Servers that were compiled or installed here, asked as penjing's own engines are: llama.cpp's, and the one that
llama-cpp-python's source distribution has as its example (examples/server).

Does not know: what is measured.
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
import subprocess
import tempfile
from abc import ABC, abstractmethod
from contextlib import suppress
from http import HTTPStatus
from pathlib import Path

import aiohttp

from penjing.engines.engine import Address
from penjing.engines.llamacpp.footprint import Footprint, weigh


class Server(ABC):
    """A child with `model` that listens on a port of 127.0.0.1 and says under `health` that it is ready."""

    health = "/health"

    def __init__(self, model: Path) -> None:
        self._model = model
        self._child: asyncio.subprocess.Process | None = None
        self.address = Address("")

    @abstractmethod
    def command(self, port: int) -> list[str]:
        """How it is started."""

    async def start(self) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        self.address = Address(f"http://127.0.0.1:{port}")
        asked = self.command(port)
        self._child = await asyncio.create_subprocess_exec(*asked, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        async with aiohttp.ClientSession() as session:
            for _ in range(300):
                await asyncio.sleep(0.1)
                with suppress(aiohttp.ClientError):
                    async with session.get(self.address.url + self.health) as answer:
                        if answer.status == HTTPStatus.OK:
                            return
        raise SystemExit(f"{' '.join(asked)} did not come up")

    async def stop(self) -> None:
        if self._child:
            with suppress(ProcessLookupError):
                self._child.terminate()
            await self._child.wait()
            self._child = None

    async def footprint(self) -> Footprint:
        return weigh(self._child.pid if self._child else 0, self._model)


class LlamaServer(Server):
    """`program` with `context` tokens for each of so many `chats`; threads for all cores where nothing is said."""

    def __init__(self, program: Path, model: Path, context: int, chats: int, threads: int | None = None) -> None:
        super().__init__(model)
        self._program, self._context, self._chats = program, context, chats
        self._threads = threads or os.cpu_count()

    def command(self, port: int) -> list[str]:
        flags = ("-np", self._chats, "-c", self._chats * self._context, "-kvu", "-t", self._threads, "--no-webui")
        return [str(each) for each in (self._program, "-m", self._model, "--port", port, *flags)]


class PythonServer(Server):
    """llama-cpp-python's `server` (server.py), run by `python`, which has the package; it keeps conversations on disk
    as long as this one is there."""

    health = "/healthz"

    def __init__(self, python: Path, server: Path, model: Path, context: int, chats: int) -> None:
        super().__init__(model)
        self._python, self._server, self._context, self._chats = python, server, context, chats
        self._home = tempfile.TemporaryDirectory(prefix="penjing-bench-python-")

    def command(self, port: int) -> list[str]:
        threads, home = os.cpu_count(), Path(self._home.name)
        model = {
            "path": str(self._model),
            "alias": "bench",
            "n_ctx": self._chats * self._context,
            "n_seq_max": self._chats,
            "n_batch": 2048,
            "n_ubatch": 512,
            "threads": threads,
            "threads_batch": threads,
            "kv_unified": True,
            "flash_attn": True,
        }
        cache = {"path": str(home / "cache"), "max_bytes": 4 << 30, "min_tokens": 128}
        config = home / "config.json"
        config.write_text(json.dumps({"server": {"port": port}, "model": model, "disk_cache": cache}))
        return [str(each) for each in (self._python, self._server, "-C", config)]
