"""The verb `restart`: a running server is replaced by a new process, and nobody who talks to it notices."""

from __future__ import annotations

import os
import signal
import sys
import time
from typing import TYPE_CHECKING

from penjing.cli import talk
from penjing.cli.verb import argument, option, verb
from penjing.errors import EngineError, InputError, MachineError

if TYPE_CHECKING:
    from penjing.operate.succession.running import Running

DONE = "{url}: penjing {version} (process {pid}) answers after {seconds:.1f} s; process {old} finishes and ends."
LOOK = 0.1
"""Seconds between two looks."""
HEARD = 10.0
"""Seconds within which a server takes notice."""


class NoServer(InputError):
    """Facts: none."""

    template = "No server of this user runs here."
    hint = "penjing serve starts one; one that was started with another PENJING_HOME is found with that."
    code = "no_server"


class NoSuchServer(InputError):
    """Facts: `wanted`, `known`."""

    template = "No server runs at {wanted}."
    hint = "Servers here: {known}"
    code = "no_server"


class SeveralServers(InputError):
    """Facts: `known`."""

    template = "Several servers run here."
    hint = "Name one: {known}"
    code = "several_servers"


class NoSuccessors(MachineError):
    """Facts: `system`."""

    template = "On {system} a server cannot hand its connections to another process."
    hint = "Stop it (Ctrl-C: it finishes its answers) and start it again."
    code = "no_successors"


class NotHeard(EngineError):
    """Facts: `url`, `pid`."""

    template = "The server at {url} (process {pid}) does not react, or has ended."
    hint = "Look at what it said where it was started."
    code = "server_not_heard"


@verb(
    "restart",
    help="Replace a running server by a new process; nobody is refused and no answer is cut.",
    examples=(
        ("pip install -U penjing && penjing restart", "The server becomes the new penjing."),
        ("penjing restart 8000", "One of several, by its port; also for changed settings."),
    ),
)
@argument("server", metavar="[URL|PORT]")
@option("--json", "as_json", is_flag=True, help="Print JSON.")
def restart(server: str | None, as_json: bool) -> None:
    """The door."""
    if not hasattr(signal, "SIGUSR2"):
        raise NoSuccessors(system=sys.platform)
    began = time.monotonic()
    old = chosen(server)
    os.kill(old.pid, signal.SIGUSR2)
    new = awaited(old)
    seconds = time.monotonic() - began
    if as_json:
        told = {"url": new.url, "pid": new.pid, "version": new.version, "before": old.pid, "seconds": round(seconds, 3)}
        talk.data_json(told)
        return
    template = (
        "{url}: penjing {version} (process {pid}) answers after {seconds:.1f} s; process {old} finishes and ends."
    )
    talk.note(template, url=new.url, version=new.version, pid=new.pid, seconds=seconds, old=old.pid)


def chosen(wanted: str | None) -> Running:
    """The server of that URL or port; the only one where none is named. Raises NoServer, NoSuchServer and
    SeveralServers."""
    from penjing.operate.succession import running

    every = running.every()
    known = ", ".join(each.url for each in every)
    if not every:
        raise NoServer
    if wanted:
        port = wanted.rstrip("/").removesuffix("/v1").rpartition(":")[2]
        found = [each for each in every if str(each.port) == port]
        if not found:
            raise NoSuchServer(wanted=wanted, known=known)
        return found[0]
    if len(every) > 1:
        raise SeveralServers(known=known)
    return every[0]


def awaited(old: Running) -> Running:
    """The successor of `old`, which was told to have one. Raises NotSucceeded, NotHeard."""
    from penjing.operate.succession import running
    from penjing.operate.succession.old import NotSucceeded

    heard, crowded = time.monotonic(), False
    while time.monotonic() - heard < HEARD:
        time.sleep(LOOK)
        now = running.read(old.port)
        if now is None:  # it has ended, and its successor has not said where it is yet; or it has just ended
            continue
        if now.pid != old.pid:
            return now
        tried = now.tried if now.tried.number > old.tried.number else running.Try()
        if tried.state == "failed":
            raise NotSucceeded(detail=tried.detail)
        if tried.state == "crowded" and not crowded:
            crowded = True
            talk.note("Both do not fit into memory: the old server finishes its answers first; who asks waits.")
        if tried.number:
            heard = time.monotonic()
    raise NotHeard(url=old.url, pid=old.pid)
