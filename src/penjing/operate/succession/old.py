"""The running server's side: on SIGUSR2 it starts a new process of itself and gives the listening socket to it.

    the new one is ready          this one accepts no more, finishes its answers and ends
    both do not fit into memory   this one finishes its answers and frees its memory first; who comes waits
    the new one does not start    this one goes on, or begins again

Whoever started the server (a shell, systemd, a container) goes on with the process it knows: what is left of this one
(`stay`) waits for its successors.

Does not know: what is new about the new one.
"""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from penjing.errors import EngineError
from penjing.gateway.audit.log import now
from penjing.gateway.hold import Hold
from penjing.gateway.serve import url_of
from penjing.operate.succession import running, stay
from penjing.operate.succession.channel import Channel
from penjing.operate.succession.new import HEIR, sizes
from penjing.operate.succession.running import Running, Try

STAYS = "PENJING_STAYS"
"""The variable that names the process that stays for who started the first server."""
PATIENCE = 900.0
"""Seconds that a new server may take to say anything."""
ENDING = 5.0
"""Seconds that one which says nothing more may take to end."""
SUBREAPER = 36
"""PR_SET_CHILD_SUBREAPER (linux/prctl.h): whose parent ends becomes ours. Kept across execve, says prctl(2)."""


class NotSucceeded(EngineError):
    """Facts: `detail`."""

    template = "The new server could not start, the old one goes on: {detail}"
    hint = "See what it says when it is started alone, on another port: penjing serve --port 0"
    code = "not_succeeded"
    status = 503


@dataclass(frozen=True)
class Step:
    """What happened: `starting` (`pid`), `crowded` (`needed`, `free`), `ready` (`pid`), `back`."""

    event: str
    pid: int = 0
    needed: str = ""
    free: str = ""


Hear = Callable[["Step | NotSucceeded"], None]


class Succession:
    """Replaces a server by what `command` starts. `free`: bytes of memory that were free when it started."""

    def __init__(self, command: Sequence[str], hear: Hear, free: int = 0) -> None:
        self._command = tuple(command)
        self._hear = hear
        self._free = free
        self._tries = 0
        self._wanted = asyncio.Event()
        self._server: Running | None = None
        self._child: subprocess.Popen[bytes] | None = None
        self.heir = 0
        """The process that took over; 0 before."""

    async def __call__(self, hold: Hold) -> None:
        """Until another process has taken over: listen for the signal, and tell others where this server is."""
        self._server = running.here(url_of(hold.listener))
        with _signal(self._wanted.set):
            await asyncio.to_thread(running.write, self._server)
            while not self.heir:
                await self._wanted.wait()
                self._wanted.clear()
                await self._try(hold)

    def ended(self) -> None:
        """The server has ended: nobody needs to know of it any more. Where an heir goes on this process stays for it
        and does not return, unless one stays already."""
        if not self.heir:
            if self._server is not None:
                running.remove(self._server)
            return
        if os.environ.get(STAYS) != str(os.getppid()) or sys.platform != "linux":
            signal.pthread_sigmask(signal.SIG_BLOCK, stay.HEARD)  # kept for what this process becomes
            os.execv(sys.executable, [sys.executable, "-S", "-E", stay.__file__, str(self.heir)])

    async def _try(self, hold: Hold) -> None:
        self._tries += 1
        ours, theirs = socket.socketpair()
        channel = Channel(ours)
        try:
            with theirs:
                self._child = self._started(hold.listener, theirs)
            channel.send("heir", sizes=sizes(hold.gateway.engines), free=self._free)
            self._say(Step("starting", self._child.pid))
            await self._taken_over(hold, channel, self._child)
        except (NotSucceeded, OSError) as error:
            failure = error if isinstance(error, NotSucceeded) else NotSucceeded(detail=str(error))
            self._note("failed", str(failure.facts["detail"]))
            self._hear(failure)
        finally:
            channel.close()
            if self._child is not None and not self.heir:
                await _killed(self._child)

    def _started(self, listener: socket.socket, line: socket.socket) -> subprocess.Popen[bytes]:
        """The new process, in the same group and with the same streams; it is not ours to end once it has taken over.
        Without an input: nobody can be asked anything."""
        _keep_orphans()
        numbers = (listener.fileno(), line.fileno())
        environment = {**os.environ, HEIR: ",".join(map(str, numbers))}
        environment.setdefault(STAYS, str(os.getpid()))
        return subprocess.Popen(self._command, stdin=subprocess.DEVNULL, env=environment, pass_fds=numbers)

    async def _taken_over(self, hold: Hold, channel: Channel, child: subprocess.Popen[bytes]) -> None:
        """Return when the new process answers. Raises NotSucceeded, after which this one does."""
        crowded = False
        try:
            while (said := await _heard(channel, child))["event"] != "ready":
                if said["event"] == "crowded":
                    crowded = True
                    self._say(Step("crowded", child.pid, str(said.get("needed")), str(said.get("free"))))
                    await hold.make_room()
                    channel.send("room")
                else:
                    raise NotSucceeded(detail=said.get("detail") or await _how(child))
        except BaseException:
            if crowded:
                await _killed(child)
                await hold.go_on()
                self._hear(Step("back"))
            raise
        self.heir = child.pid
        hold.heard = self._forward
        self._hear(Step("ready", child.pid))
        if (record := hold.gateway.house.record) is not None:
            record(lambda: {"at": now(), "what": "succession", "process": child.pid, "crowded": crowded})
        await hold.leave()
        channel.send("yours")

    def _forward(self, number: int) -> None:
        """While answers are finished here, who wants the server to stop means the new one (Ctrl-C reaches both)."""
        if number == signal.SIGTERM:
            with suppress(ProcessLookupError):
                os.kill(self.heir, number)

    def _say(self, step: Step) -> None:
        self._note(step.event)
        self._hear(step)

    def _note(self, state: str, detail: str = "") -> None:
        """For who asked for it, in the file."""
        assert self._server is not None
        self._server = replace_tried(self._server, Try(self._tries, state, detail))
        running.write(self._server)


def replace_tried(server: Running, tried: Try) -> Running:
    """`server` with another last try."""
    return Running(server.pid, server.born, server.url, server.version, tried)


def command() -> tuple[str, ...]:
    """What this process was started with."""
    return (sys.executable, *sys.orig_argv[1:])


async def _heard(channel: Channel, child: subprocess.Popen[bytes]) -> dict[str, Any]:
    """What the new process says next. Raises NotSucceeded where it says nothing for too long."""
    hearing = asyncio.ensure_future(channel.hear())
    try:
        done, _ = await asyncio.wait([hearing], timeout=PATIENCE)
    finally:
        hearing.cancel()
        await asyncio.wait([hearing])  # the loop looks at the channel until then, which must not be closed before
    if not done:
        raise NotSucceeded(detail=f"it said nothing for {PATIENCE:.0f} s")
    return hearing.result()


async def _how(child: subprocess.Popen[bytes]) -> str:
    """How it ended, of which it said nothing."""
    with suppress(subprocess.TimeoutExpired):
        status = await asyncio.to_thread(child.wait, ENDING)
        return f"it was killed by {signal.Signals(-status).name}" if status < 0 else f"exit status {status}"
    return "it does not speak to this one"


async def _killed(child: subprocess.Popen[bytes]) -> None:
    """End it: politely, so that its workers end, then not."""
    if child.poll() is None:
        child.terminate()
        try:
            await asyncio.to_thread(child.wait, 10.0)
        except subprocess.TimeoutExpired:
            child.kill()
            await asyncio.to_thread(child.wait)


def _keep_orphans() -> None:
    """Processes whose parent ends become children of this one, and of what it becomes."""
    if sys.platform == "linux":
        import ctypes

        ctypes.CDLL(None).prctl(SUBREAPER, 1, 0, 0, 0)


class _signal:  # noqa: N801  # used as a function
    """In the block SIGUSR2 calls `heard`, where there is such a signal and this thread can hear it."""

    def __init__(self, heard: Callable[[], None]) -> None:
        self._heard = heard
        self._hears = hasattr(signal, "SIGUSR2") and threading.current_thread() is threading.main_thread()

    def __enter__(self) -> None:
        if self._hears:
            asyncio.get_running_loop().add_signal_handler(signal.SIGUSR2, self._heard)

    def __exit__(self, *_: object) -> None:
        if self._hears:
            asyncio.get_running_loop().remove_signal_handler(signal.SIGUSR2)
