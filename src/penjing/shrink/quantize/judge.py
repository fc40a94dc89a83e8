"""How far a quantized file's predictions are from those of the model it was made from, on the engine itself.

Does not know: how the file was made.
"""

from __future__ import annotations

import dataclasses
from contextlib import nullcontext
from pathlib import Path

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
    the source is run once, on `engine` where that has it loaded already. `threads` 0: one for each physical core. Use
    as a context manager. Raises LoadFailed, NotFinite."""

    def __init__(
        self,
        source: Path,
        windows: Windows,
        *,
        most: int | None = None,
        threads: int = 0,
        engine: Engine | None = None,
        report: Report | None = None,
    ) -> None:
        self.threads = threads
        with nullcontext(engine) if engine else Engine(source, threads=threads) as loaded:
            affordable = compared(loaded.model.parameters, windows.tokens.shape[1])
            self.windows = first(windows, most or affordable, loaded.vocabulary)
            self.kept = Kept(loaded, self.windows, report)

    def __enter__(self) -> Judge:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Forget what the source said."""
        self.kept.__exit__(None, None, None)

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
