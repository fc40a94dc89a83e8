"""A `.pte` with its cache inside, run by ExecuTorch's Python runtime.

Does not know: how it was made.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from penjing.export.executorch.faults import ExecuTorchRefuses
from penjing.export.executorch.names import CHUNK, CONTEXT, FORWARD
from penjing.export.fixed import ContextFull
from penjing.export.hush import hushed


class ExecuTorchRuntime:
    """One conversation with the program at `path`. Raises ExecuTorchRefuses."""

    def __init__(self, path: Path) -> None:
        with hushed():
            import executorch.kernels.quantized  # noqa: F401  registers the operators of 8-bit embeddings
            import torch
            from executorch.runtime import Runtime

        self._torch = torch
        try:
            program = Runtime.get().load_program(str(path))
            self._forward: Any = program.load_method(FORWARD)
            self.chunk = int(program.load_method(CHUNK).execute([])[0])
            self.context = int(program.load_method(CONTEXT).execute([])[0])
        except (RuntimeError, ValueError, AttributeError) as error:
            raise ExecuTorchRefuses(path=str(path), detail=str(error)) from error
        self._length = 0

    def prefill(self, ids: Sequence[int]) -> NDArray[np.float32]:
        """The logits after each of `ids`: float32 [len(ids), vocabulary].

        A program gives those after the last token of a call alone. So `ids` are read twice: one by one for the rows,
        and then in chunks as an app reads them, so that the last row and all that follows rest on that cache. Raises
        ContextFull."""
        self._length = 0
        rows = [self.decode(token) for token in ids[:-1]]
        self._length = 0
        last = rows[-1] if rows else None
        for start in range(0, len(ids), self.chunk):
            last = self._read(ids[start : start + self.chunk])
        return np.stack([*rows, last] if last is not None else rows)

    def decode(self, token: int) -> NDArray[np.float32]:
        """Read `token`; the logits after it: float32 [vocabulary]. Raises ContextFull."""
        return self._read([token])

    def close(self) -> None:
        """Free it; a second time does nothing."""
        self._forward = None

    def _read(self, ids: Sequence[int]) -> NDArray[np.float32]:
        if self._length + len(ids) > self.context:
            raise ContextFull(tokens=self._length + len(ids), context=self.context)
        given = [self._torch.tensor([list(ids)]), self._torch.tensor([self._length])]
        found: NDArray[np.float32] = self._forward.execute(given)[0].float().numpy().copy()
        self._length += len(ids)
        return found.reshape(-1)
