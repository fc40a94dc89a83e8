"""A `.tflite` with a prefill and a decode signature, run by LiteRT's interpreter.

Does not know: how it was made.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from penjing.export.fixed import ContextFull
from penjing.export.hush import hushed
from penjing.export.litert.faults import LiteRTRefuses
from penjing.export.litert.names import DECODE, LOGITS, POSITIONS, PREFILL, TOKENS

THREADS = 1


class LiteRTRuntime:
    """One conversation with the model at `path`. Raises LiteRTRefuses."""

    def __init__(self, path: Path) -> None:
        with hushed():
            from ai_edge_litert.interpreter import Interpreter

        try:
            self._interpreter: Any = Interpreter(model_path=str(path), num_threads=THREADS)
            names = list(self._interpreter.get_signature_list())
            self._decode = self._interpreter.get_signature_runner(DECODE)
            prefill = next(name for name in names if name.startswith(PREFILL))
            self._prefill = self._interpreter.get_signature_runner(prefill)
            inputs = self._decode.get_input_details()
        except (RuntimeError, ValueError, StopIteration) as error:
            raise LiteRTRefuses(path=str(path), detail=str(error)) from error
        self.chunk = int(self._prefill.get_input_details()[TOKENS]["shape"][1])
        self._shapes = {name: tuple(each["shape"]) for name, each in inputs.items() if name not in (TOKENS, POSITIONS)}
        self.context = next(iter(self._shapes.values()))[2]
        self._cache: dict[str, NDArray[np.float32]] = {}
        self._length = 0
        self._forget()

    def prefill(self, ids: Sequence[int]) -> NDArray[np.float32]:
        """The logits after each of `ids`: float32 [len(ids), vocabulary].

        The prefill signature gives none, as on a phone, where nobody needs them. So `ids` are read twice: one by one
        for the rows, and then as a phone reads them, so that the last row and all that follows rest on its cache.
        Raises ContextFull."""
        self._require_room(len(ids), fresh=True)
        self._forget()
        rows = [self.decode(token) for token in ids[:-1]]
        self._forget()
        self._read(ids[:-1])
        return np.stack([*rows, self.decode(ids[-1])])

    def decode(self, token: int) -> NDArray[np.float32]:
        """Read `token`; the logits after it: float32 [vocabulary]. Raises ContextFull."""
        self._require_room(1)
        found = self._decode(
            **{TOKENS: np.array([[token]], np.int32), POSITIONS: np.array([self._length], np.int32)}, **self._cache
        )
        logits: NDArray[np.float32] = found.pop(LOGITS)
        self._cache, self._length = found, self._length + 1
        return logits.reshape(-1).astype(np.float32)

    def close(self) -> None:
        """Free it; a second time does nothing."""
        self._interpreter = self._decode = self._prefill = None
        self._cache = {}

    def _read(self, ids: Sequence[int]) -> None:
        """Whole chunks by the prefill signature, the last one filled up with zeros that nobody looks at: the tokens
        that follow are written over them. What has no room for a whole chunk goes one by one."""
        at = 0
        while at < len(ids) and self._length + self.chunk <= self.context:
            part = ids[at : at + self.chunk]
            tokens = np.zeros((1, self.chunk), np.int32)
            tokens[0, : len(part)] = part
            positions = np.arange(self._length, self._length + self.chunk, dtype=np.int32)
            self._cache = self._prefill(**{TOKENS: tokens, POSITIONS: positions}, **self._cache)
            self._length += len(part)
            at += len(part)
        for token in ids[at:]:
            self.decode(token)

    def _forget(self) -> None:
        self._cache = {name: np.zeros(shape, np.float32) for name, shape in self._shapes.items()}
        self._length = 0

    def _require_room(self, tokens: int, *, fresh: bool = False) -> None:
        there = 0 if fresh else self._length
        if there + tokens > self.context:
            raise ContextFull(tokens=there + tokens, context=self.context)
