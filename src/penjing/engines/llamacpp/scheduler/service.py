"""The thread that steps: others hand over what is asked, and are told each token. Other work with the model is done
between two steps.

Does not know: text, HTTP.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, TypeVar

from penjing.engines.llamacpp.scheduler.asked import Ask, Said
from penjing.engines.llamacpp.scheduler.restraint import Restraint
from penjing.engines.llamacpp.scheduler.scheduler import Scheduler
from penjing.errors import PenjingError

FAULT = 70
"""The process's exit status (sysexits.h, EX_SOFTWARE)."""
T = TypeVar("T")
QUIET = 2.0
"""Seconds without work after which what rests is put on the shelf, one at a time."""

log = logging.getLogger(__name__)


class Service:
    """Runs `scheduler` in a thread of its own from `start` to `stop`, with `restraint`. Everything else may be called
    from any thread."""

    def __init__(self, scheduler: Scheduler, restraint: Restraint | None = None) -> None:
        self.scheduler = scheduler
        self._restraint = restraint
        self._arrived: deque[Ask] = deque()
        self._work: deque[tuple[Future[Any], Callable[[], Any]]] = deque()
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

    def cancel(self, ask: Ask) -> None:
        """Nobody waits for `ask` any more."""
        self.scheduler.cancel(ask)

    def run(self, work: Callable[[], T]) -> Future[T]:
        """What `work` returns, done between two steps."""
        found: Future[T] = Future()
        with self._wake:
            self._work.append((found, work))
            self._wake.notify()
        return found

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
            begun = time.perf_counter()
            if self._restraint is not None:
                self.scheduler.pace.allow(self._restraint.threads())
            if not (self._do() | self.scheduler.step()):
                self._rest()
            elif self._restraint is not None:
                self._pause(self._restraint.rest(time.perf_counter() - begun, self.scheduler.pace.used))
        self.scheduler.close()

    def _do(self) -> bool:
        """One piece of other work; False where there is none."""
        if not self._work:
            return False
        found, work = self._work.popleft()
        if not found.set_running_or_notify_cancel():
            return True
        try:
            found.set_result(work())
        except PenjingError as error:
            found.set_exception(error)
        return True

    def _pause(self, seconds: float) -> None:
        """Leave the processor to others; stopping is not kept waiting."""
        with self._wake:
            if seconds > 0 and not self._stopping:
                self._wake.wait_for(lambda: self._stopping, seconds)

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
            if self._wanted or self._wake.wait(QUIET):
                return
        for sequence in reversed(self.scheduler.cache.resting):
            if self._wanted or self.scheduler.cache.keep(sequence):
                return
        with self._wake:
            if not self._wanted:
                self._wake.wait()

    @property
    def _wanted(self) -> bool:
        return bool(self._arrived or self._work or self._stopping)
