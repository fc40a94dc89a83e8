"""How far a quantized file's predictions are from those of the model it was made from, on the engine itself.

Does not know: how the file was made.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from types import TracebackType

import numpy as np
from numpy.typing import NDArray

from penjing.progress import Report
from penjing.shrink.evaluate.engine import Engine
from penjing.shrink.evaluate.measure import Kept, measure
from penjing.shrink.quantize.way import compared
from penjing.shrink.texts.windows import Windows

ROOM = 1 << 30
"""Bytes of the source's logits that are kept at most."""


class Judge:
    """Measures files against the model at `source` on the first `most` of `windows` (None: as many as are affordable);
    the source is run once. `threads` 0: one for each physical core. Use as a context manager. Raises LoadFailed,
    NotFinite."""

    def __init__(
        self,
        source: Path,
        windows: Windows,
        *,
        most: int | None = None,
        threads: int = 0,
        report: Report | None = None,
    ) -> None:
        self.threads = threads
        with Engine(source, threads=threads) as engine:
            self.windows = first(
                windows, most or compared(engine.model.parameters, windows.tokens.shape[1]), engine.vocabulary
            )
            self.kept = Kept(engine, self.windows, report)

    def __enter__(self) -> Judge:
        self.kept.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kept.__exit__(kind, error, trace)

    def each(self, path: Path) -> NDArray[np.float64]:
        """KL(source || file) of each scored token, nats, [n]."""
        with Engine(path, threads=self.threads) as engine:
            return self.of(engine)

    def kl(self, path: Path) -> float:
        """Their mean."""
        return float(self.each(path).mean())

    def of(self, engine: Engine) -> NDArray[np.float64]:
        """As `each`, of a model that is loaded."""
        scores = measure(engine, self.kept, self.windows)
        assert scores.kl is not None  # there was a parent
        return scores.kl


def first(windows: Windows, most: int, vocabulary: int) -> Windows:
    """As many windows as are compared."""
    count = max(1, min(most, ROOM // (4 * vocabulary * windows.tokens.shape[1])))
    return dataclasses.replace(windows, tokens=windows.tokens[:count], written=windows.written[:count])
