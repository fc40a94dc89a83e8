"""Whether an export says what its parent says: both read prompts in two languages, then the same decoded tokens.

What is decoded is what the parent finds likeliest, so that both stand before the same question at every step. The
answer is `check.json` beside the export; an export that fails keeps its files and gets no mark.

Does not know: any runtime, how an export was made.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray

from penjing.errors import ModelError
from penjing.export.target import Runtime
from penjing.files import write_whole
from penjing.progress import Progress, Report

NAME = "check.json"
DECODED = 32
"""Tokens after each prompt, one at a time."""


class OtherVocabulary(ModelError):
    """Facts: `width`, `wanted`."""

    template = "The export gives {width} logits a token, its parent {wanted}."
    hint = "It was made of another model, or its target is broken: export again."
    code = "other_vocabulary"


@dataclass(frozen=True)
class Prompt:
    """`ids` of a text in `language`."""

    language: str
    ids: tuple[int, ...]


@dataclass(frozen=True)
class Limits:
    """What passes: the largest error of a logit in units of the parent's standard deviation, the mean KL divergence
    (nats a token), the share of tokens whose likeliest successor is the same."""

    error: float
    kl: float
    top1: float


LIMITS = ((32.0, Limits(1e-3, 1e-6, 0.999)), (16.0, Limits(0.1, 1e-3, 0.97)), (7.5, Limits(2.0, 0.03, 0.9)))
"""By bits a weight, from exact to coarse: the first whose bits are reached counts."""
COARSE = Limits(10.0, 0.4, 0.7)
"""Of all that have fewer bits."""


def limits(bits: float) -> Limits:
    """What an export with so many bits a weight must keep."""
    return next((found for least, found in LIMITS if bits >= least), COARSE)


@dataclass(frozen=True)
class Measured:
    """Over `tokens` positions: the largest absolute error of a logit, the same over the standard deviation of the
    parent's logits, mean KL(parent || export) in nats, agreement of the likeliest token."""

    tokens: int
    max_abs_error: float
    relative_error: float
    kl: float
    top1: float


@dataclass(frozen=True)
class Check:
    """`verified` where everything is within `limits`; `failed` names what is not."""

    target: str
    precision: str
    verified: bool
    whole: Measured
    languages: dict[str, Measured]
    limits: Limits
    failed: tuple[str, ...] = ()
    decoded: int = DECODED


@dataclass
class Tally:
    """Sums over positions."""

    tokens: int = 0
    error: float = 0.0
    kl: float = 0.0
    same: int = 0
    spreads: list[float] = field(default_factory=list)

    def add(self, wanted: NDArray[np.float32], found: NDArray[np.float32]) -> None:
        """Logits of both, float32 [n, vocabulary]. Raises OtherVocabulary."""
        if found.shape[-1] < wanted.shape[-1]:
            raise OtherVocabulary(width=found.shape[-1], wanted=wanted.shape[-1])
        found = found[:, : wanted.shape[-1]]  # some runtimes pad the head
        self.tokens += len(wanted)
        self.error = _largest(self.error, float(np.abs(wanted - found).max()))
        self.kl += float(divergence(wanted, found).sum())
        self.same += int((wanted.argmax(-1) == found.argmax(-1)).sum())
        self.spreads.append(float(wanted.std()))

    def measured(self) -> Measured:
        """All of it."""
        spread = float(np.mean(self.spreads)) or 1.0
        count = max(self.tokens, 1)
        return Measured(self.tokens, self.error, self.error / spread, self.kl / count, self.same / count)


def _largest(first: float, second: float) -> float:
    """The larger; what is no number stays."""
    return second if math.isnan(second) or second > first else first


def divergence(wanted: NDArray[np.float32], found: NDArray[np.float32]) -> NDArray[np.float64]:
    """KL(wanted || found) in nats of rows of logits: float64 [n]."""
    first, second = _log_softmax(wanted), _log_softmax(found)
    total: NDArray[np.float64] = (np.exp(first) * (first - second)).sum(-1)
    return total


def _log_softmax(logits: NDArray[np.float32]) -> NDArray[np.float64]:
    exact = logits.astype(np.float64)
    exact -= exact.max(-1, keepdims=True)
    found: NDArray[np.float64] = exact - np.log(np.exp(exact).sum(-1, keepdims=True))
    return found


def compare(
    parent: Runtime,
    child: Runtime,
    prompts: Sequence[Prompt],
    decoded: int = DECODED,
    report: Report | None = None,
) -> tuple[Measured, dict[str, Measured]]:
    """How far `child` is from `parent`, of all prompts and of each language. Raises OtherVocabulary, and what the
    runtimes and `report` raise."""
    whole, languages = Tally(), {prompt.language: Tally() for prompt in prompts}
    steps, done = len(prompts) * (decoded + 1), 0
    for prompt in prompts:
        tallies = (whole, languages[prompt.language])
        wanted, found = parent.prefill(prompt.ids), child.prefill(prompt.ids)
        for step in range(decoded + 1):
            for tally in tallies:
                tally.add(wanted, found)
            done += 1
            if report is not None:
                report(Progress(done / steps, "checking"))
            if step < decoded:
                token = int(wanted[-1].argmax())
                wanted, found = parent.decode(token)[None], child.decode(token)[None]
    return whole.measured(), {name: tally.measured() for name, tally in languages.items()}


def judge(target: str, precision: str, bits: float, whole: Measured, languages: dict[str, Measured]) -> Check:
    """The verdict: every language must keep the limits by itself."""
    allowed = limits(bits)
    failed = sorted({name for each in (whole, *languages.values()) for name in _beyond(each, allowed)})
    return Check(target, precision, not failed, whole, languages, allowed, tuple(failed))


def _beyond(measured: Measured, allowed: Limits) -> list[str]:
    """What is not within the limits; written so that a number that is none fails."""
    kept = {
        "max abs error": measured.relative_error <= allowed.error,
        "KL": measured.kl <= allowed.kl,
        "top-1 agreement": measured.top1 >= allowed.top1,
    }
    return [name for name, holds in kept.items() if not holds]


def save(check: Check, folder: Path) -> Path:
    """Write `check.json` into the export's folder, whole or not at all."""
    return write_whole(folder / NAME, msgspec.json.format(msgspec.json.encode(check), indent=2) + b"\n")


def load(folder: Path) -> Check:
    """What `save` wrote. Raises ModelError where it is missing or damaged."""
    try:
        return msgspec.json.decode((folder / NAME).read_bytes(), type=Check)
    except (OSError, msgspec.DecodeError) as error:
        raise ModelError(path=str(folder / NAME), detail=str(error)) from error
