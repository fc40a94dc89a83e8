"""Lines of JSON between a server and the process that is to take over from it.

    old -> new    heir     what it should know before it begins: `sizes`, `free`
    new -> old    crowded  both do not fit into memory: `needed`, `free`
    old -> new    room     the old one has freed its memory
    new -> old    failed   it could not start: `detail`
    new -> old    ready    it answers
    old -> new    yours    the old one does nothing any more but finish its answers

Does not know: what is done about any of them.
"""

from __future__ import annotations

import asyncio
import json
import socket
from contextlib import suppress
from typing import Any

LONGEST = 1 << 20
"""Bytes of a line."""


class Channel:
    """Over the connected socket `line`, which it closes."""

    def __init__(self, line: socket.socket) -> None:
        self._line = line
        self._line.setblocking(False)
        self._left = b""

    def send(self, event: str, **facts: object) -> None:
        """Say it. A line fits into the socket's buffer, so nobody waits; one who is gone hears nothing."""
        with suppress(OSError):
            self._line.send(json.dumps({"event": event, **facts}).encode() + b"\n")

    async def hear(self) -> dict[str, Any]:
        """The next line; `{"event": ""}` when the other one is gone or says what is no such line."""
        loop = asyncio.get_running_loop()
        while b"\n" not in self._left and len(self._left) < LONGEST:
            try:
                more = await loop.sock_recv(self._line, 1 << 16)
            except OSError:
                more = b""
            if not more:
                return {"event": ""}
            self._left += more
        first, _, self._left = self._left.partition(b"\n")
        return read(first)

    def close(self) -> None:
        """The other one hears that this one is gone."""
        self._line.close()


def read(line: bytes) -> dict[str, Any]:
    """One line; `{"event": ""}` for what is none."""
    try:
        said = json.loads(line)
    except ValueError:
        return {"event": ""}
    return said if isinstance(said, dict) and isinstance(said.get("event"), str) else {"event": ""}


def heard_first(line: socket.socket) -> dict[str, Any]:
    """The first line, before there is an event loop; byte by byte, so that nothing of the second is taken."""
    line.setblocking(True)
    found = b""
    while not found.endswith(b"\n") and len(found) < LONGEST:
        byte = line.recv(1)
        if not byte:
            break
        found += byte
    return read(found)
