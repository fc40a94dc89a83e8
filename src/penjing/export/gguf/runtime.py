"""A GGUF file as a `Runtime`: llama.cpp's own numbers.

Does not know: what they are compared with.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from penjing.native.batch import Batch
from penjing.native.context import Context
from penjing.native.model import Model

THREADS = 1


class LlamaRuntime:
    """One conversation of at most `context` tokens with the model at `path`; keys and values stay in float32, so that
    what differs is the file's. Raises LibraryMissing, LoadFailed."""

    def __init__(self, path: Path, context: int) -> None:
        self.model = Model(path)
        self._context = Context(self.model, context, threads=THREADS, kv_type="f32", flash="off")
        self._batch = Batch(1)
        self._read = 0

    def prefill(self, ids: Sequence[int]) -> NDArray[np.float32]:
        """float32 [len(ids), vocabulary]. Raises CacheFull."""
        self._read = len(ids)
        return self._context.compute(ids, everything=True)

    def decode(self, token: int) -> NDArray[np.float32]:
        """float32 [vocabulary]. Raises CacheFull."""
        self._batch.clear()
        self._batch.add(token, self._read, wanted=True)
        self._context.decode(self._batch)
        self._read += 1
        found: NDArray[np.float32] = self._context.logits()[0].copy()
        return found

    def close(self) -> None:
        """Free it; a second time does nothing."""
        self._context.close()
        self.model.close()
