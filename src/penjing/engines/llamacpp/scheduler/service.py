"""The thread that steps: others hand over what is asked, and are told each token.

Does not know: text, HTTP.
"""

from __future__ import annotations

import logging
import os
import threading
from collections import deque

from penjing.engines.llamacpp.scheduler.asked import Ask, Said
from penjing.engines.llamacpp.scheduler.scheduler import Scheduler
from penjing.errors import PenjingError

FAULT = 70
"""The process's exit status (sysexits.h, EX_SOFTWARE)."""
QUIET = 2.0
"""Seconds without work after which what rests is put on the shelf, one at a time."""

log = logging.getLogger(__name__)


class Service:
    """Runs `scheduler` in a thread of its own from `start` to `stop`. Everything else may be called from any thread."""

    def __init__(self, scheduler: Scheduler) -> None:
        self.scheduler = scheduler
        self._arrived: deque[Ask] = deque()
        self._wake = threading.Condition()
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="scheduler", daemon=True)

    def start(self) -> None:
        """Begin to step."""
        self._thread.start()

    def stop(self) -> None:
        """End after the step that is being computed, and put on the shelf what is worth it."""
        with self._wake:
            self._stopping = True
            self._wake.notify()
        self.scheduler.context.stop()
        self._thread.join()

    def submit(self, ask: Ask) -> None:
        """Have `ask` answered; what is wrong with it is heard too."""
        with self._wake:
            self._arrived.append(ask)
            self._wake.notify()

    @property
    def busy(self) -> int:
        """Answers that are being computed."""
        return len(self.scheduler.running)

    @property
    def waiting(self) -> int:
        """Those who wait to be let in."""
        return len(self.scheduler.waiting) + len(self._arrived)

    def _run(self) -> None:
        try:
            self._steps()
        except Exception:  # a fault of ours: everybody would wait for ever, and who keeps the worker starts it again
            log.exception("the scheduler ended")
            os._exit(FAULT)

    def _steps(self) -> None:
        while not self._stopping:
            self._take()
            if not self.scheduler.step():
                self._rest()
        self.scheduler.close()

    def _take(self) -> None:
        while self._arrived:
            ask = self._arrived.popleft()
            try:
                self.scheduler.submit(ask)
            except PenjingError as error:
                ask.hear(Said(-1, error=error))

    def _rest(self) -> None:
        """Wait for somebody; after a while, use the time."""
        with self._wake:
            if self._arrived or self._stopping or self._wake.wait(QUIET):
                return
        for sequence in reversed(self.scheduler.resting):
            if self._arrived or self._stopping or self.scheduler.keep(sequence):
                return
        with self._wake:
            if not (self._arrived or self._stopping):
                self._wake.wait()
