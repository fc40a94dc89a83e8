"""One worker process: started, listened to, ended, and everything it leaves behind removed.

Its log goes to `logs/` under penjing's home, its socket to a private folder under the system's temporary one (a Unix
socket's path may have some 100 bytes only, so it cannot live under a home of any length).

Does not know: what the worker does, HTTP.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import signal
import socket
import sys
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import psutil

from penjing.engines.llamacpp.settings import Settings
from penjing.errors import EngineStartFailed
from penjing.files import home

COMMAND = (sys.executable, "-m")
MODULES = {
    "llama.cpp": "penjing.engines.llamacpp.worker",
    "penjing": "penjing.engines.llamacpp.scheduler.worker",
    "openvino": "penjing.engines.openvino.worker",
}
"""The worker of each scheduler, and of OpenVINO, which has its own."""
GRACE = 5.0
"""Seconds between SIGTERM and SIGKILL."""
LOG_LIMIT = 4 << 20
"""Bytes a log may have; a longer one becomes `NAME.log.1`."""
TAIL = 600
"""Characters of the log that an error repeats."""
PREFIX, SOCKET = "penjing-", "engine.sock"
LONGEST_PARENT = 60
"""Characters of a temporary folder's path that leave room for the rest of a socket's."""


class Process:
    """A worker of `settings`, which gets the descriptors `inherited` under their numbers. `address` is what it listens
    on, once `start` has returned."""

    def __init__(self, settings: Settings, inherited: tuple[int, ...] = ()) -> None:
        self.settings = settings
        self.inherited = inherited
        self.folder = run_folder()
        self.log = log_path(settings.name, self.folder)
        self.address = ""
        self._log_start = self.log.stat().st_size if self.log.exists() else 0
        self._child: asyncio.subprocess.Process | None = None

    @property
    def pid(self) -> int:
        """The worker's process id; 0 when it is not running."""
        return self._child.pid if self._child and self._child.returncode is None else 0

    async def start(self, hear: Callable[[dict[str, object]], None]) -> None:
        """Return when it is ready; `hear` gets every report. Raises EngineStartFailed with the end of its log."""
        try:
            with self.log.open("ab") as log:
                self._child = await asyncio.create_subprocess_exec(
                    *COMMAND,
                    MODULES[self.settings.scheduler],
                    stdin=asyncio.subprocess.PIPE,
                    stdout=asyncio.subprocess.PIPE,
                    stderr=log,
                    pass_fds=self.inherited,
                )
        except OSError as error:  # no more processes, memory or descriptors
            raise EngineStartFailed(model=self.settings.name, detail=str(error)) from error
        assert self._child.stdin is not None
        assert self._child.stdout is not None
        with suppress(ConnectionError):  # it is gone already; its log says why
            self._child.stdin.write(self.settings.encode())
            await self._child.stdin.drain()
        async for line in self._child.stdout:
            said = report(line, self.settings.name)
            hear(said)
            if said["event"] == "failed":
                raise EngineStartFailed(model=self.settings.name, detail=self.tail() or said["detail"])
            if said["event"] == "ready":
                self.address = str(said["address"])
                return
        how = await self.wait()
        raise EngineStartFailed(model=self.settings.name, detail=f"{how}. {self.tail()}".strip())

    async def wait(self) -> str:
        """Until it ends; how: `killed by SIGKILL`, `exit status 1`."""
        assert self._child is not None
        return ending(await self._child.wait())

    async def stop(self) -> None:
        """SIGTERM, after GRACE seconds SIGKILL; then its folder is removed."""
        child, self._child = self._child, None
        if child is not None:
            await end(child, GRACE)
        shutil.rmtree(self.folder, ignore_errors=True)

    def trim(self) -> None:
        """Set a log that has grown too long aside. The worker appends, so it goes on at the beginning."""
        try:
            if self.log.stat().st_size <= LOG_LIMIT:
                return
            with self.log.open("r+b") as stream:
                self.log.with_name(self.log.name + ".1").write_bytes(stream.read(2 * LOG_LIMIT)[-LOG_LIMIT:])
                stream.truncate(0)
            self._log_start = 0
        except OSError:  # no room to set it aside: it is looked at again
            return

    def tail(self) -> str:
        """What this worker's log tells of trouble, else its last words."""
        try:
            with self.log.open("rb") as stream:
                stream.seek(self._log_start)
                lines = stream.read().decode("utf-8", "replace").splitlines()
        except OSError:
            return ""
        return telling(lines)


def report(line: bytes, model: str) -> dict[str, object]:
    """One report of a worker. Raises EngineStartFailed for a line that is none: something else prints to its stdout."""
    try:
        said = json.loads(line)
    except ValueError:
        said = None
    if not (isinstance(said, dict) and isinstance(said.get("event"), str)):
        text = line.decode("utf-8", "replace").strip()[:TAIL]
        raise EngineStartFailed(model=model, detail=f"its worker printed what is no report: {text}")
    return said


def telling(lines: list[str]) -> str:
    """The first error among llama.cpp's log lines (level `E`), without its time stamp, or why ggml gave up
    (`file:line: reason`, ggml_abort of ggml.c); without any the last lines."""
    errors = [match[1] or match[2] for line in lines if (match := re.match(r"[\d.]+ E (.*)|\S+\.\w+:\d+: (.*)", line))]
    chosen = errors[:1] or [line for line in lines if line.strip()][-5:]  # the first is the cause, the rest its echo
    return "; ".join(" ".join(line.split()) for line in chosen)[-TAIL:]


async def end(child: asyncio.subprocess.Process, grace: float) -> None:
    """SIGTERM, after `grace` seconds SIGKILL; nothing where it has ended."""
    if child.returncode is not None:
        return
    with suppress(ProcessLookupError):
        child.terminate()
    try:
        await asyncio.wait_for(child.wait(), grace)
    except asyncio.TimeoutError:
        with suppress(ProcessLookupError):
            child.kill()
        await child.wait()


def ending(status: int) -> str:
    """An exit status in words.

    >>> ending(-9), ending(1)
    ('killed by SIGKILL', 'exit status 1')
    """
    if status >= 0:
        return f"exit status {status}"
    try:
        return f"killed by {signal.Signals(-status).name}"
    except ValueError:
        return f"killed by signal {-status}"


def run_folder() -> Path:
    """A new private folder for a socket, named after this process; abandoned ones are removed."""
    parent = Path(tempfile.gettempdir())
    if len(str(parent)) > LONGEST_PARENT:
        parent = Path("/tmp")
    for old in parent.glob(f"{PREFIX}*-*"):
        if abandoned(old):
            shutil.rmtree(old, ignore_errors=True)
    return Path(tempfile.mkdtemp(prefix=f"{PREFIX}{os.getpid()}-", dir=parent))


def abandoned(folder: Path) -> bool:
    """Whether the run folder belongs to nobody any more: its process is gone and nobody listens on its socket (another
    container may share the folder and have processes that cannot be seen from here)."""
    owner, path = folder.name.split("-")[1], folder / SOCKET
    if not owner.isdigit() or psutil.pid_exists(int(owner)) or not hasattr(socket, "AF_UNIX"):
        return False
    with socket.socket(socket.AF_UNIX) as line:
        try:
            line.connect(str(path))
        except ConnectionRefusedError:
            return True
        except OSError:  # not listening yet, not ours to touch, or gone this moment
            return False
    return False


def log_path(name: str, spare: Path) -> Path:
    """Where the log of the engine `name` goes, a full one set aside; in `spare` where home cannot be written."""
    folder = home() / "logs"
    path = folder / (re.sub(r"[^\w.-]+", "_", name) + ".log")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        path.touch()
        if path.stat().st_size > LOG_LIMIT:
            path.replace(path.with_name(path.name + ".1"))
    except OSError:
        return spare / "engine.log"
    return path
