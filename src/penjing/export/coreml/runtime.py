"""An exported package as a conversation: masks made, tokens read, logits out; computed by the reference interpreter.

Does not know: how a program is run.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from penjing.export.coreml.interpreter import Interpreter
from penjing.export.coreml.names import IDS, LOGITS, MASKS, POSITION, SLIDING, WINDOW
from penjing.export.coreml.program import Array, read
from penjing.export.fixed import ContextFull

MASKED = -30000.0
"""As the decoder has it (`export/decoder/model.py`)."""


class Conversation:
    """A `penjing.export.target.Runtime`. Raises NotAProgram, UnknownOperation."""

    def __init__(self, package: Path) -> None:
        program = read(package)
        self.interpreter = Interpreter(program)
        shapes = {each.name: each.shape for each in program.inputs}
        windows = {SLIDING: int(program.metadata.get(WINDOW, 0))}
        self.masks = {name: windows.get(name, 0) for name in MASKS if name in shapes}
        least, most = shapes[IDS][1]
        self.steps = most if least == most else 0
        self.room = program.states[0].shape[3][1]
        self.past = 0

    def prefill(self, ids: Sequence[int]) -> NDArray[np.float32]:
        """As the protocol says. Raises ContextFull."""
        self.interpreter.reset()
        self.past = 0
        if not self.steps:
            return self._read(ids)
        return np.concatenate([self._read(ids[at : at + self.steps]) for at in range(0, len(ids), self.steps)])

    def decode(self, token: int) -> NDArray[np.float32]:
        """As the protocol says. Raises ContextFull."""
        last: NDArray[np.float32] = self._read([token])[-1]
        return last

    def close(self) -> None:
        """Nothing is held but memory."""

    def _read(self, ids: Sequence[int]) -> NDArray[np.float32]:
        """Logits [len(ids), vocabulary]. A program of a fixed number of tokens gets what is missing as padding after
        them, which the next call writes over."""
        count = self.steps or len(ids)
        if self.past + count > self.room:
            raise ContextFull(tokens=self.past + len(ids), context=self.room - max(0, self.steps - 1))
        padded = np.zeros((1, count), np.int32)
        padded[0, : len(ids)] = ids
        seen = self.room if self.steps else self.past + count
        inputs: dict[str, Array] = {name: self._mask(count, seen, window) for name, window in self.masks.items()}
        inputs[IDS] = padded
        if self.steps:
            inputs[POSITION] = np.array([self.past], np.int32)
        logits: NDArray[np.float32] = self.interpreter.run(inputs)[LOGITS][0, : len(ids)]
        self.past += len(ids)
        return logits

    def _mask(self, count: int, seen: int, window: int) -> NDArray[np.float32]:
        """What is added to scores, [1, 1, count, seen]."""
        rows = self.past + np.arange(count)[:, None]
        columns = np.arange(seen)[None, :]
        visible = (columns <= rows) & ((columns > rows - window) if window else True)
        return np.where(visible, np.float32(0), np.float32(MASKED))[None, None]
