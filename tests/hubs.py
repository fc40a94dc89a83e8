"""Hubs and their databases for tests: real processes, killed and started again."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

EVERY = 1.0
POSTGRES = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))


def free_port() -> int:
    """One that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        found: int = probe.getsockname()[1]
        return found


class RunningHub:
    """`penjing hub serve` as a process, on a port that stays the same."""

    def __init__(self, home: Path, *more: str) -> None:
        self.home, self.more = home, more
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.log = home / "requests"
        self.process: subprocess.Popen[str] | None = None

    def start(self) -> None:
        """Until it answers."""
        settings = ("--port", str(self.port), "--every", str(EVERY), "--log", str(self.log))
        command = [sys.executable, "-m", "penjing", "hub", "serve", *settings, *self.more]
        environment = {**os.environ, "PENJING_HOME": str(self.home)}
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
        assert self.process.stdout is not None
        assert self.process.stdout.readline().strip() == self.url

    def stop(self, sign: int = signal.SIGTERM) -> int:
        """End it, with SIGKILL as a power cut would; its exit status."""
        assert self.process is not None
        assert self.process.stdout is not None
        self.process.send_signal(sign)
        status = self.process.wait(30)
        self.process.stdout.close()
        self.process = None
        return status

    @property
    def key(self) -> str:
        """Of publishers."""
        return (self.home / "hub" / "admin.key").read_text().strip()

    def requests(self) -> list[dict[str, object]]:
        """What it was asked until now; a line that a kill cut is none."""
        lines = self.log.read_text().splitlines() if self.log.exists() else []
        return [json.loads(line) for line in lines if line.startswith("{") and line.endswith("}")]

    def sent(self) -> list[tuple[str, int]]:
        """Path and bytes of each chunk it gave."""
        return [
            (str(each["path"]), int(str(each["bytes"])))
            for each in self.requests()
            if each["method"] == "GET" and str(each["path"]).startswith("/chunks/")
        ]


@contextmanager
def hub(home: Path, *more: str) -> Iterator[RunningHub]:
    """One that runs in the block."""
    made = RunningHub(home, *more)
    made.start()
    try:
        yield made
    finally:
        if made.process is not None:
            made.stop()


@contextmanager
def near(folder: Path, **more: Any) -> Iterator[str]:
    """A hub in a thread of this process, with a publisher's key `secret`; its URL."""
    import uvicorn

    from penjing.fleet.hub import tables
    from penjing.fleet.hub.app import app
    from penjing.fleet.hub.blobs import Disk
    from penjing.fleet.hub.ledger import Ledger

    folder.mkdir(parents=True, exist_ok=True)
    engine = tables.opened(f"sqlite:///{folder / 'hub.sqlite'}")
    ledger = Ledger(engine, EVERY)
    ledger.admit_publisher("admin", "secret")
    server = uvicorn.Server(uvicorn.Config(app(ledger, Disk(folder / "blobs"), **more), log_level="warning"))
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join()
            engine.dispose()


@contextmanager
def postgres() -> Iterator[str]:
    """A server of one's own; its URL. The server refuses to run as root, so that root runs it as somebody else."""
    if not POSTGRES:
        pytest.skip("PostgreSQL is not installed (Debian: apt-get install postgresql)")
    tools, port = POSTGRES[-1].parent, free_port()
    user = "postgres" if os.getuid() == 0 else None
    with tempfile.TemporaryDirectory(prefix="penjing-postgres-") as folder:
        data = Path(folder) / "data"
        if user is not None:
            shutil.chown(folder, user)
        made = [tools / "initdb", "-D", data, "-U", "penjing", "-A", "trust", "--no-sync", "-E", "UTF8"]
        subprocess.run(made, check=True, capture_output=True, user=user, cwd=folder)
        options = ["-c", "listen_addresses=127.0.0.1", "-c", f"unix_socket_directories={folder}", "-p", str(port)]
        server = subprocess.Popen(
            [tools / "postgres", "-D", data, *options],
            user=user,
            cwd=folder,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            ready = [tools / "pg_isready", "-q", "-h", "127.0.0.1", "-p", str(port), "-d", "postgres"]
            while subprocess.run(ready).returncode:
                assert server.poll() is None
                time.sleep(0.05)
            yield f"postgresql://penjing@127.0.0.1:{port}/postgres"
        finally:
            server.send_signal(signal.SIGINT)  # a fast shutdown
            server.wait(30)
