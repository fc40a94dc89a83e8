"""A llama-server that was compiled here, asked as penjing's own engines are.

Does not know: what is measured.
"""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
from contextlib import suppress
from http import HTTPStatus
from pathlib import Path

import aiohttp

from penjing.engines.engine import Address
from penjing.engines.llamacpp.footprint import Footprint, weigh


class LlamaServer:
    """`program` with `model`, and `context` tokens for each of so many `chats`; threads for all cores where
    nothing is said."""

    def __init__(self, program: Path, model: Path, context: int, chats: int, threads: int | None = None) -> None:
        self._program, self._model, self._context, self._chats = program, model, context, chats
        self._threads = threads or os.cpu_count()
        self._child: asyncio.subprocess.Process | None = None
        self.address = Address("")

    async def start(self) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        self.address = Address(f"http://127.0.0.1:{port}")
        flags = ("-np", self._chats, "-c", self._chats * self._context, "-kvu", "-t", self._threads, "--no-webui")
        asked = map(str, (self._program, "-m", self._model, "--port", port, *flags))
        self._child = await asyncio.create_subprocess_exec(*asked, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        async with aiohttp.ClientSession() as session:
            for _ in range(300):
                await asyncio.sleep(0.1)
                with suppress(aiohttp.ClientError):
                    async with session.get(f"{self.address.url}/health") as answer:
                        if answer.status == HTTPStatus.OK:
                            return
        raise SystemExit(f"{self._program} did not come up")

    async def stop(self) -> None:
        if self._child:
            self._child.terminate()
            await self._child.wait()
            self._child = None

    async def footprint(self) -> Footprint:
        return weigh(self._child.pid if self._child else 0, self._model)
