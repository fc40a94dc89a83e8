"""A time limit on waiting, cheap enough for every request: no task of its own, in every Python from 3.10 on."""

from __future__ import annotations

import asyncio
import sys
from types import TracebackType
from typing import cast

from penjing.errors import EngineError


class TooSlow(EngineError):
    """Facts: `model`, `seconds`."""

    template = "{model} did not begin its answer in {seconds} s."
    hint = "Send the request again, or allow more time."
    code = "engine_slow"
    status = 504


class Patience:
    """`with Patience(model, seconds): await ...` raises TooSlow when that takes longer; 0 waits for ever."""

    def __init__(self, model: str, seconds: float) -> None:
        self._model = model
        self._seconds = seconds
        self._late = False
        self._timer: asyncio.TimerHandle | None = None

    def __enter__(self) -> None:
        if self._seconds:
            self._task = cast("asyncio.Task[object]", asyncio.current_task())
            self._timer = asyncio.get_running_loop().call_later(self._seconds, self._end)

    def _end(self) -> None:
        self._late = True
        self._task.cancel()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if not self._late:
            return
        others = self._task.uncancel() if sys.version_info >= (3, 11) else 0
        if kind is asyncio.CancelledError and not others:
            raise TooSlow(model=self._model, seconds=f"{self._seconds:g}") from error
