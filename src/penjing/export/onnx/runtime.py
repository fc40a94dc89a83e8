"""An ONNX decoder as a `Runtime`: ONNX Runtime on the processor.

Does not know: how the graph was made.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from penjing.errors import ModelCorrupt
from penjing.export.onnx import names

THREADS = 1
ERRORS_ONLY = 3
DTYPES: dict[str, type[np.generic]] = {"tensor(float)": np.float32, "tensor(float16)": np.float16}


class OnnxRefused(ModelCorrupt):
    """Facts: `path`, `detail`."""

    template = "ONNX Runtime does not load {path}: {detail}"
    hint = "Export it again, with this version of onnxruntime."
    code = "onnx_refused"


class OnnxRuntime:
    """One conversation with the graph at `path`. Raises OnnxRefused."""

    def __init__(self, path: Path) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = THREADS
        options.log_severity_level = ERRORS_ONLY
        try:
            self._session: Any = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # onnxruntime's own, which have no common root that it shows
            raise OnnxRefused(path=str(path), detail=str(error).splitlines()[0][:300]) from error
        self._outputs = [each.name for each in self._session.get_outputs()]
        self._empty = {
            each.name: np.zeros((1, each.shape[1], 0, each.shape[3]), DTYPES[each.type])
            for each in self._session.get_inputs()
            if each.name.startswith(names.PAST)
        }
        self._cache = self._empty
        self._read = 0

    def prefill(self, ids: Sequence[int]) -> NDArray[np.float32]:
        """float32 [len(ids), vocabulary]."""
        self._cache, self._read = self._empty, 0
        return self._step(ids)

    def decode(self, token: int) -> NDArray[np.float32]:
        """float32 [vocabulary]."""
        found: NDArray[np.float32] = self._step([token])[0]
        return found

    def close(self) -> None:
        """Free it."""
        self._session, self._cache = None, {}

    def _step(self, ids: Sequence[int]) -> NDArray[np.float32]:
        positions = np.arange(self._read, self._read + len(ids), dtype=np.int64)[None]
        given = {names.IDS: np.array([list(ids)], np.int64), names.POSITIONS: positions, **self._cache}
        found = dict(zip(self._outputs, self._session.run(None, given), strict=True))
        logits: NDArray[np.float32] = found.pop(names.LOGITS)[0].astype(np.float32)
        self._cache = {name.replace(names.PRESENT, names.PAST, 1): each for name, each in found.items()}
        self._read += len(ids)
        return logits
