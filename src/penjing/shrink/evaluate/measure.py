"""Windows of tokens through a model, and through its parent beside it: what is kept is a few numbers a token.

Does not know: files, texts, what the engine is.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryFile, gettempdir
from types import TracebackType
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from penjing.errors import ModelError
from penjing.files import filling
from penjing.progress import Progress, Report
from penjing.shrink.evaluate.quality import Divergence, Estimate, TextQuality
from penjing.shrink.evaluate.statistics import Floats, Logits, compare, estimate, surprise
from penjing.shrink.texts.windows import Windows

SKIPPED = 32
"""Tokens at the head of a window that are read and not scored: with next to nothing before them they say little."""
ROWS = 64
"""Positions whose distributions are compared at once: [ROWS, vocabulary] numbers in memory a few times."""
PASSAGE = 64
"""Tokens that hang together in the bootstrap."""
BYTES = 4
"""Of an f32."""
LARGEST = 700.0
"""The largest number whose exponential is one."""


class NotFinite(ModelError):
    """Facts: `model`, `window`, `position`."""

    template = "{model} computes no numbers: NaN or infinity at token {position} of window {window}."
    hint = "Its weights are damaged, or too large for their type. Convert or fetch it again."
    code = "not_finite"


class Predicts(Protocol):
    """Whatever predicts tokens. `name` is for people."""

    name: str

    def logits(self, tokens: NDArray[np.int32], wanted: NDArray[np.bool_]) -> Logits:
        """f32 [wanted.sum(), vocabulary]: for each of the tokens of one window that is `wanted` what comes after it."""


@dataclass(frozen=True)
class Scores:
    """Of every scored token, [n]: -ln p under the model; where there was a parent, -ln p under it, KL(parent || model),
    and whether the likeliest token was the same. `passages` [n]: which tokens hang together."""

    nll: Floats
    passages: NDArray[np.intp]
    parent: Floats | None = None
    kl: Floats | None = None
    same: NDArray[np.bool_] | None = None


def scored(windows: Windows) -> NDArray[np.bool_]:
    """[n, context]: the tokens after which a scored one stands. Those that a model writes itself are scored, but for
    the first of each window; all others where there are none (a conversation that nobody answers)."""
    written = windows.written if windows.written.any() else np.ones_like(windows.written)
    found = np.zeros_like(written)
    found[:, :-1] = written[:, 1:]
    found[:, : min(SKIPPED, windows.tokens.shape[1] // 2)] = False
    return found


def measure(model: Predicts, parent: Predicts | None, windows: Windows, report: Report | None = None) -> Scores:
    """The scores of a text, window by window. Raises NotFinite; `report` cancels by raising."""
    wanted = scored(windows)
    rows, passages = [], []
    for number, (window, asked) in enumerate(zip(windows.tokens, wanted, strict=True)):
        if report is not None:
            report(Progress(number / len(wanted), "evaluating"))
        if asked.any():
            rows.append(_window(model, parent, window, asked, number))
            passages.append(np.flatnonzero(asked) // PASSAGE + number * len(window))
    nll, *more = (np.concatenate(each) for each in zip(*rows, strict=True))
    if parent is None:
        return Scores(nll, np.concatenate(passages))
    theirs, kl, same = more
    return Scores(nll, np.concatenate(passages), theirs, kl, same.astype(np.bool_))


def _window(
    model: Predicts, parent: Predicts | None, window: NDArray[np.int32], asked: NDArray[np.bool_], number: int
) -> tuple[Floats, ...]:
    """As in `Scores`, [asked.sum()] each; without a parent only the first."""
    targets = window[np.flatnonzero(asked) + 1]
    ours = _finite(model, window, asked, number)
    theirs = _finite(parent, window, asked, number) if parent is not None else None
    parts: list[tuple[Floats, ...]] = []
    for begin in range(0, len(targets), ROWS):
        some = slice(begin, begin + ROWS)
        if theirs is None:
            parts.append((surprise(ours[some], targets[some]),))
        else:
            found = compare(ours[some], theirs[some], targets[some])
            parts.append((found.nll, found.parent, found.kl, found.same.astype(np.float64)))
    return tuple(np.concatenate(each) for each in zip(*parts, strict=True))


def _finite(model: Predicts, window: NDArray[np.int32], asked: NDArray[np.bool_], number: int) -> Logits:
    logits = model.logits(window, asked)
    sums = logits.sum(axis=1, dtype=np.float64)  # finite only where all numbers are
    if not np.isfinite(sums).all():
        place = int(np.flatnonzero(asked)[np.flatnonzero(~np.isfinite(sums))[0]])
        raise NotFinite(model=model.name, window=number, position=place)
    return logits


class Kept:
    """A model whose logits on a text are computed once and kept in a file without a name, which is gone when this is
    closed: whoever measures many models against one parent need not run that each time.

    Takes 4 bytes x vocabulary for each scored token, in `folder` (None: that of temporary files). Raises DiskFull, told
    after the first window or as soon as others have taken the room, and what `inner.logits` raises.
    """

    def __init__(
        self, inner: Predicts, windows: Windows, report: Report | None = None, folder: Path | None = None
    ) -> None:
        self.name = inner.name
        place = folder or Path(gettempdir())
        self._file = TemporaryFile(dir=place, buffering=0)  # noqa: SIM115 - open as long as this object
        self._places: dict[bytes, tuple[int, int]] = {}
        rows = 0
        try:
            wanted = scored(windows)
            for number, (window, asked) in enumerate(zip(windows.tokens, wanted, strict=True)):
                if report is not None:
                    report(Progress(number / len(wanted), "evaluating"))
                if asked.any():
                    logits = np.ascontiguousarray(inner.logits(window, asked), np.float32)
                    with filling(place, (int(wanted.sum()) - rows) * logits.shape[1] * BYTES):
                        self._append(logits)
                    self._places[window.tobytes()] = (rows, rows + len(logits))
                    rows += len(logits)
        except BaseException:
            self._file.close()
            raise
        self._logits = np.memmap(self._file, np.float32, "r", shape=(rows, logits.shape[1]))

    def _append(self, logits: Logits) -> None:
        left = logits.data.cast("B")
        while left:  # without a buffer a write may be a part of it
            left = left[self._file.write(left) or 0 :]

    def logits(self, tokens: NDArray[np.int32], wanted: NDArray[np.bool_]) -> Logits:
        """As `Predicts`. Raises KeyError for a window that was not kept."""
        begin, end = self._places[tokens.tobytes()]
        return np.asarray(self._logits[begin:end])

    def __enter__(self) -> Kept:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()


def text_quality(windows: Sequence[Windows], scores: Sequence[Scores], name: str, seed: int = 0) -> TextQuality:
    """What was found on these texts together."""
    digest = windows[0].digest
    if len(windows) > 1:
        digest = hashlib.sha256("".join(each.digest for each in windows).encode()).hexdigest()
    whole = joined(scores)
    mean = estimate(whole.nll, whole.passages, seed)
    return TextQuality(
        name=name,
        digest=digest,
        windows=sum(len(each.tokens) for each in windows),
        context=windows[0].tokens.shape[1],
        tokens=len(whole.nll),
        perplexity=Estimate(_power(mean.value), _power(mean.low), _power(mean.high)),
        against=_divergence(whole, seed),
    )


def joined(scores: Sequence[Scores]) -> Scores:
    """Those of several texts as one."""
    passages, begin = [], 0
    for each in scores:
        passages.append(each.passages + begin)
        begin += int(each.passages.max()) + 1
    rows = [[each.parent, each.kl, each.same] for each in scores]
    more = [np.concatenate(each) for each in zip(*rows, strict=True) if all(part is not None for part in each)]
    return Scores(np.concatenate([each.nll for each in scores]), np.concatenate(passages), *more)


def _divergence(scores: Scores, seed: int) -> Divergence | None:
    if scores.parent is None or scores.kl is None or scores.same is None:
        return None
    median, high = np.percentile(scores.kl, [50, 99])
    return Divergence(
        kl=estimate(scores.kl, scores.passages, seed),
        kl_median=float(median),
        kl_p99=float(high),
        kl_most=float(scores.kl.max()),
        same=estimate(scores.same, scores.passages, seed),
        loss=estimate(scores.nll - scores.parent, scores.passages, seed),
        parent_perplexity=_power(float(scores.parent.mean())),
    )


def _power(value: float) -> float:
    return math.exp(min(value, LARGEST))
