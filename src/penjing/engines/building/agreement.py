"""Whether a library computes what the prebuilt one does: the same words, or numbers that are as close as another order
of sums allows.

Each library continues the same prompts in two languages greedily. Where all words are equal it agrees. Where they are
not (two tokens were as likely to the last digits), it is asked for the probabilities at the prebuilt one's own words:
their divergence must stay under BOUND on average and under WORST anywhere.

Does not know: how libraries are made, which models there are.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from penjing.engines.building.faults import Disagrees
from penjing.native.libraries import Library
from penjing.probe import apart
from penjing.progress import Progress, Report, span

COMMAND = (sys.executable, "-m", "penjing.native.trial")
PATIENCE = 300.0
BOUND, WORST = 3e-3, 5e-2
"""Divergence (KL, nats a token) of the prebuilt library's probabilities from the other's: mean and largest. Twice what
the prebuilt one differs from itself where it computes a text at once or token by token (guide at 4 bits: 0.0016)."""
LIMIT = 32
"""Tokens of an answer."""
PROMPTS = (
    "The capital of France is",
    "Quantization makes a model smaller by",
    "def fibonacci(n):\n",
    "Dear Anna,\n\nthank you for",
    "Three things to see in Rome:\n1.",
    "法国的首都是",
    "量化是指把模型的权重",
    "从前有一座山，山上",
    "请用一句话解释什么是 KV 缓存：",
    "春眠不觉晓，",
)


@dataclass(frozen=True)
class Agreement:
    """How two libraries compare on `model`: answers that were equal word by word, `tokens` compared, the divergence in
    nats a token, and the share of tokens of which the likeliest was the same."""

    model: str
    answers: int
    equal: int
    tokens: int
    mean: float
    worst: float
    top: float

    @property
    def good(self) -> bool:
        """Whether one may stand for the other."""
        return self.equal == self.answers or (self.mean <= BOUND and self.worst <= WORST)


def compare(library: Library, other: Library, model: Path, name: str, threads: int, report: Report) -> Agreement:
    """`library` beside `other`, on the GGUF `model`. Raises Disagrees where it cannot even compute."""
    with tempfile.TemporaryDirectory() as folder:
        ours, theirs, forced = (Path(folder) / f"{each}.npy" for each in ("ours", "theirs", "forced"))
        asked = {"kind": "answers", "model": str(model), "threads": threads, "prompts": PROMPTS, "limit": LIMIT}
        first = trial(other, {**asked, "place": str(theirs)}, span(report, 0, 1 / 3), name)["pairs"]
        second = trial(library, {**asked, "place": str(ours)}, span(report, 1 / 3, 2 / 3), name)["pairs"]
        trial(library, {**asked, "place": str(forced), "given": first}, span(report, 2 / 3, 1), name)
        equal = sum(one == another for one, another in zip(first, second, strict=True))
        return measured(name, equal, len(first), np.load(theirs), np.load(forced))


def measured(name: str, equal: int, answers: int, wanted: NDArray[np.float32], found: NDArray[np.float32]) -> Agreement:
    """From log-probabilities f32 [tokens, vocabulary] of the prebuilt library and of the other."""
    divergence = (np.exp(wanted.astype(np.float64)) * (wanted.astype(np.float64) - found)).sum(axis=1)
    same = wanted.argmax(axis=1) == found.argmax(axis=1)
    return Agreement(
        name, answers, equal, len(wanted), float(divergence.mean()), float(divergence.max()), float(same.mean())
    )


def require(library: Library, found: Sequence[Agreement]) -> None:
    """Raises Disagrees for the first that is not good."""
    for each in found:
        if not each.good:
            detail = f"KL {each.mean:.2g} on average and {each.worst:.2g} at most, {BOUND:g} and {WORST:g} are allowed"
            raise Disagrees(name=library.name, model=each.model, detail=detail)


def trial(library: Library, asked: dict[str, Any], report: Report, model: str) -> dict[str, Any]:
    """What `library` found, in a process of its own (see `native.trial`). Raises Disagrees where that ended."""
    line = json.dumps({"library": str(library.path), "version": library.version, **asked}).encode() + b"\n"

    def failed(detail: str) -> Disagrees:
        return Disagrees(name=library.name, model=model, detail=detail)

    report(Progress(0.0, "checking"))
    found = apart.run(COMMAND, given=line, patience=PATIENCE, report=report, failed=failed)
    report(Progress(1.0, "checking"))
    return found
