"""A thread that computes, one turn after the other, and the line before it: others hand over what is asked, and are
told each token.

Does not know: what computes, text, HTTP.
"""

from __future__ import annotations

import logging
import os
import threading
from abc import ABC, abstractmethod
from collections import deque

from penjing.engines.llamacpp.scheduler.asked import Ask, Said
from penjing.errors import PenjingError

FAULT = 70
"""The process's exit status (sysexits.h, EX_SOFTWARE)."""
log = logging.getLogger(__name__)


class Stepping(ABC):
    """Takes turns in a thread of its own, called `name`, from `start` to `stop`. `submit` may be called from any
    thread."""

    def __init__(self, name: str) -> None:
        self._arrived: deque[Ask] = deque()
        self._wake = threading.Condition()
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End after the step that is being computed."""
        with self._wake:
            self._stopping = True
            self._wake.notify()
        self._hurry()
        self._thread.join()

    def submit(self, ask: Ask) -> None:
        """Have `ask` answered; what is wrong with it is heard too."""
        with self._wake:
            self._arrived.append(ask)
            self._wake.notify()

    @abstractmethod
    def _begin(self, ask: Ask) -> None:
        """Let it in. Raises PenjingError for what is wrong with it."""

    @abstractmethod
    def _turn(self) -> None:
        """Compute once, or wait for somebody."""

    def _hurry(self) -> None:  # noqa: B027  nothing to hurry is usual
        """Have the step that is being computed end sooner, where that can be."""

    def _close(self) -> None:  # noqa: B027  nothing to close is usual
        """After the last turn."""

    @property
    def _wanted(self) -> bool:
        """Whether waiting is over."""
        return bool(self._arrived or self._stopping)

    def _wait(self, seconds: float | None = None) -> bool:
        """Until somebody comes, or for so long; whether somebody came."""
        with self._wake:
            return self._wanted or self._wake.wait(seconds)

    def _run(self) -> None:
        try:
            while not self._stopping:
                self._take()
                self._turn()
            self._close()
        except Exception:  # a fault of ours: everybody would wait for ever, and who keeps the worker starts it again
            log.exception("the %s ended", self._thread.name)
            os._exit(FAULT)

    def _take(self) -> None:
        while self._arrived:
            ask = self._arrived.popleft()
            try:
                self._begin(ask)
            except PenjingError as error:
                ask.hear(Said(-1, error=error))
