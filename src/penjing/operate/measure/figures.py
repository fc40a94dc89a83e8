"""From samples to figures: percentiles, rates, goodput, paired ratios.

Percentiles interpolate linearly between the closest ranks (type 7 of Hyndman and Fan, "Sample Quantiles in
Statistical Packages", 1996), as numpy's do.

Does not know: how anything was measured.
"""

from __future__ import annotations

import math
import statistics
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from penjing.operate.measure.sample import Sample


@dataclass(frozen=True)
class Spread:
    """Percentiles, mean and count of a quantity; all 0 where there is none."""

    p50: float = 0.0
    p90: float = 0.0
    p99: float = 0.0
    mean: float = 0.0
    count: int = 0


@dataclass(frozen=True)
class Goal:
    """What an answer must keep to count as good (goodput): seconds to the first token, for each further token, in all.
    Infinite where it does not matter."""

    first: float = math.inf
    each: float = math.inf
    whole: float = math.inf

    def met(self, sample: Sample) -> bool:
        return sample.first <= self.first and sample.each <= self.each and sample.whole <= self.whole


@dataclass(frozen=True)
class Figures:
    """Times in seconds; rates in tokens a second. `prefill` and `decode` are of one stream, `tokens` of all together,
    `good` is answers a second that kept the goal. `failed` counts by reason."""

    first: Spread
    gap: Spread
    whole: Spread
    prefill: Spread
    decode: Spread
    answers: float
    tokens: float
    good: float | None
    prompt_tokens: float
    completion_tokens: float
    cached_tokens: float
    seconds: float
    failed: dict[str, int] = field(default_factory=dict)


def figures(samples: Sequence[Sample], seconds: float, goal: Goal | None = None) -> Figures:
    """The figures of what was answered in `seconds` of measuring. Samples with an error only count as failed."""
    done = [one for one in samples if not one.error]
    per = 1 / seconds if seconds > 0 else 0.0
    return Figures(
        first=spread([one.first for one in done]),
        gap=spread([gap for one in done for gap in one.gaps]),
        whole=spread([one.whole for one in done]),
        prefill=spread([one.prefill for one in done if one.prompt_tokens]),
        decode=spread([one.decode for one in done if one.decode]),
        answers=len(done) * per,
        tokens=sum(one.completion_tokens for one in done) * per,
        good=sum(map(goal.met, done)) * per if goal else None,
        prompt_tokens=mean([one.prompt_tokens for one in done]),
        completion_tokens=mean([one.completion_tokens for one in done]),
        cached_tokens=mean([one.cached_tokens for one in done]),
        seconds=seconds,
        failed=dict(Counter(one.error for one in samples if one.error)),
    )


def spread(values: Sequence[float]) -> Spread:
    """Percentiles of `values`."""
    if not values:
        return Spread()
    ranked = sorted(values)
    p50, p90, p99 = (percentile(ranked, share) for share in (0.5, 0.9, 0.99))
    return Spread(p50, p90, p99, statistics.fmean(ranked), len(ranked))


def percentile(ranked: Sequence[float], share: float) -> float:
    """The value that `share` of the sorted, non-empty `ranked` do not exceed.

    >>> percentile([1.0, 2.0, 3.0, 4.0], 0.5), percentile([5.0], 0.99)
    (2.5, 5.0)
    """
    place = (len(ranked) - 1) * share
    low = math.floor(place)
    high = min(low + 1, len(ranked) - 1)
    return ranked[low] + (ranked[high] - ranked[low]) * (place - low)


def mean(values: Sequence[float]) -> float:
    """0 where there is none."""
    return statistics.fmean(values) if values else 0.0


@dataclass(frozen=True)
class Ratio:
    """A quantity of one target over that of the other, round by round: median and range."""

    median: float
    least: float
    most: float
    rounds: int


def ratio(ours: Sequence[float], theirs: Sequence[float]) -> Ratio | None:
    """The ratios of rounds in pairs; None where no pair has both."""
    pairs = [mine / other for mine, other in zip(ours, theirs, strict=False) if mine > 0 and other > 0]
    return Ratio(statistics.median(pairs), min(pairs), max(pairs), len(pairs)) if pairs else None
