"""The servers that run on this home: one small file each, by port (`PENJING_HOME/run/PORT.json`).

A file whose process is gone counts for nothing; a process of the same number that was born at another time is another.

Does not know: how a server is told anything.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

import msgspec
import psutil
from msgspec import Struct

import penjing
from penjing.files import home, write_whole

BORN = 1.0
"""Seconds by which the system's clock may have been set since a process was born."""


class Try(Struct, frozen=True, omit_defaults=True):
    """The last time that the server was to be replaced: its `number`, `starting`, `crowded` or `failed`, and why."""

    number: int = 0
    state: str = ""
    detail: str = ""


class Running(Struct, frozen=True, omit_defaults=True):
    """One server: process `pid`, `born` then (seconds since 1970), where it listens, which penjing it is."""

    pid: int
    born: float
    url: str
    version: str = ""
    tried: Try = Try()

    @property
    def port(self) -> int:
        return int(self.url.rsplit(":", 1)[1])

    @property
    def alive(self) -> bool:
        """Whether its process is."""
        try:
            return abs(psutil.Process(self.pid).create_time() - self.born) < BORN
        except psutil.Error:
            return False


def here(url: str) -> Running:
    """This process, which listens at `url`."""
    return Running(os.getpid(), psutil.Process().create_time(), url, penjing.__version__)


def folder() -> Path:
    """Where the files are."""
    return home() / "run"


def write(server: Running) -> None:
    """Let others know of it. Where home cannot be written they do not; the server runs all the same."""
    with suppress(OSError):
        folder().mkdir(parents=True, exist_ok=True)
        write_whole(_path(server.port), msgspec.json.encode(server))


def read(port: int) -> Running | None:
    """The server at `port`; None where none is alive."""
    try:
        server = msgspec.json.decode(_path(port).read_bytes(), type=Running)
    except (OSError, msgspec.DecodeError):
        return None
    return server if server.alive else None


def remove(server: Running) -> None:
    """It has ended; what a successor wrote stays."""
    now = read(server.port)
    if now is not None and now.pid == server.pid:
        _path(server.port).unlink(missing_ok=True)


def every() -> list[Running]:
    """All that are alive, by port; files of those that are not are removed."""
    found = []
    for path in sorted(folder().glob("*.json")):
        server = read(int(path.stem)) if path.stem.isdigit() else None
        if server is None:
            path.unlink(missing_ok=True)
        else:
            found.append(server)
    return found


def _path(port: int) -> Path:
    return folder() / f"{port}.json"
