"""The last questions to each engine, in memory only: what its next version is warmed with.

Does not know: what is in them.
"""

from __future__ import annotations

from collections import deque

KEPT = 32
LONGEST = 1 << 18
"""Bytes of a question; longer ones are not kept."""


class Recent:
    """Questions by engine: path and body, the last one last."""

    def __init__(self) -> None:
        self._kept: dict[str, deque[tuple[str, bytes]]] = {}

    def add(self, engine: str, path: str, body: bytes) -> None:
        """`engine` is asked `body` at `path`."""
        if len(body) <= LONGEST:
            kept = self._kept.get(engine)
            if kept is None:
                kept = self._kept[engine] = deque(maxlen=KEPT)
            kept.append((path, body))

    def of(self, engine: str) -> list[tuple[str, bytes]]:
        """The last questions to `engine`, the last one last."""
        return list(self._kept.get(engine, ()))

    def forget(self, engine: str) -> None:
        """Of an engine that is gone."""
        self._kept.pop(engine, None)
