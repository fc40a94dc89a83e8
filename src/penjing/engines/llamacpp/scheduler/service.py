"""The thread that steps: others hand over what is asked, and are told each token. Other work with the model is done
between two steps.

Does not know: text, HTTP.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, TypeVar

from penjing.engines.llamacpp.scheduler.asked import Ask
from penjing.engines.llamacpp.scheduler.restraint import Restraint
from penjing.engines.llamacpp.scheduler.scheduler import Scheduler
from penjing.engines.llamacpp.scheduler.stepping import Stepping
from penjing.errors import PenjingError
from penjing.native import heap

T = TypeVar("T")
TIDY = 60.0
"""Seconds between two times that freed memory is given back to the system, while somebody is answered."""
QUIET = 2.0
"""Seconds without work after which what rests is put on the shelf, one at a time."""


class Service(Stepping):
    """Runs `scheduler` in a thread of its own from `start` to `stop`, with `restraint`; what is worth it is put on the
    shelf at the end. Everything else may be called from any thread."""

    def __init__(self, scheduler: Scheduler, restraint: Restraint | None = None) -> None:
        super().__init__("scheduler")
        self.scheduler = scheduler
        self._restraint = restraint
        self._work: deque[tuple[Future[Any], Callable[[], Any]]] = deque()
        self._tidied = time.monotonic()

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

    def _begin(self, ask: Ask) -> None:
        self.scheduler.submit(ask)

    def _hurry(self) -> None:
        self.scheduler.context.stop()

    def _close(self) -> None:
        self.scheduler.close()

    def _turn(self) -> None:
        begun = time.perf_counter()
        self._tidy()
        if self._restraint is not None:
            self.scheduler.pace.allow(self._restraint.threads())
        if not (self._do() | self.scheduler.step()):
            self._rest()
        elif self._restraint is not None:
            self._pause(self._restraint.rest(time.perf_counter() - begun, self.scheduler.pace.used))

    def _tidy(self) -> None:
        """From time to time."""
        now = time.monotonic()
        if now - self._tidied >= TIDY:
            self._tidied = now
            heap.trim()

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

    def _rest(self) -> None:
        """Wait for somebody; after a while, use the time."""
        if self._wait(QUIET):
            return
        for sequence in reversed(self.scheduler.cache.resting):
            if self._wanted or self.scheduler.cache.keep(sequence):
                return
        self._wait()

    @property
    def _wanted(self) -> bool:
        return bool(self._work) or super()._wanted
