"""A served server and its successors: what `penjing serve` does when it takes over, or is taken over from.

Does not know: how the two processes agree (`operate/succession`).
"""

from __future__ import annotations

import signal
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from penjing.cli import talk
from penjing.errors import PenjingError
from penjing.operate.succession.new import Heir, heir
from penjing.operate.succession.old import NotSucceeded, Step, Succession, command

if TYPE_CHECKING:
    from pathlib import Path

MOST_LOGS = 16
"""Audit logs beside each other, of servers that are still finishing answers."""
STEPS = {
    "starting": "A new server is starting (process {pid}).",
    "crowded": "The new server needs {needed} and {free} are free: this one finishes its answers and frees its memory "
    "first. Who asks meanwhile waits.",
    "ready": "The new server answers (process {pid}); this one finishes its answers.",
    "back": "This server answers again.",
}


@contextmanager
def taking() -> Iterator[Heir | None]:
    """What this process was handed by the server it takes over from, if there is one; that one is told what goes wrong
    in the block."""
    found = heir()
    try:
        yield found
    except PenjingError as error:
        if found is not None:
            found.failed(error.message("en"))
        raise
    except Exception as error:  # a fault of ours: the old server goes on, and says which
        if found is not None:
            found.failed(repr(error))
        raise


def succession(free: int) -> Succession:
    """What lets a successor take over. `free`: bytes of memory that were free at the start, 0 where nobody needs to
    know. Until it listens the signal does nothing; without this it would end the server."""
    if hasattr(signal, "SIGUSR2"):
        signal.signal(signal.SIGUSR2, signal.SIG_IGN)
    return Succession(command(), tell_step, free)


def policies_of(found: Heir | None, policies: Mapping[str, object]) -> Mapping[str, object]:
    """The options of policies; where the old server still writes the audit log that was named, a successor begins one
    beside it (`NAME-2`)."""
    from penjing.gateway.policies.audit import AuditOptions

    options = policies["audit"]
    assert isinstance(options, AuditOptions)
    if found is None or options.folder is None or options.enabled is False:
        return policies
    return {**policies, "audit": replace(options, folder=_free_log(options.folder))}


def _free_log(folder: Path) -> Path:
    from penjing.gateway.audit.log import LOCK
    from penjing.lock import held_now

    for each in (folder, *(folder.with_name(f"{folder.name}-{number}") for number in range(2, MOST_LOGS + 1))):
        if not each.exists():
            return each
        with held_now(each / LOCK) as free:
            if free:
                return each
    return folder


def tell_step(said: Step | NotSucceeded) -> None:
    """What becomes of a succession."""
    if isinstance(said, NotSucceeded):
        talk.warn("{detail}", detail=said.message())
    else:
        talk.note(STEPS[said.event], pid=said.pid, needed=said.needed, free=said.free)
