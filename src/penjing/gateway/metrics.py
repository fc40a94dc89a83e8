"""Counters, gauges and histograms in Prometheus' text format.

Own, because prometheus_client's label look-up and lock cost more per token than passing the token on does; the
event loop is the only writer. Format: https://prometheus.io/docs/instrumenting/exposition_formats/ (0.0.4).

Does not know: what is counted.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator

CONTENT_TYPE = b"text/plain; version=0.0.4; charset=utf-8"
Labels = tuple[str, ...]


class Counter:
    """A number that only grows, one for each combination of label values."""

    kind = "counter"

    def __init__(self, name: str, help_text: str, labels: Labels = ()) -> None:
        self.name = name
        self.help = help_text
        self.labels = labels
        self._values: dict[Labels, float] = {}

    def add(self, *values: str, by: float = 1) -> None:
        self._values[values] = self._values.get(values, 0) + by

    def set(self, *values: str, to: float) -> None:
        """Take over a count that is kept elsewhere."""
        self._values[values] = to

    def value(self, *values: str) -> float:
        return self._values.get(values, 0)

    def lines(self) -> Iterator[str]:
        for values, value in self._values.items():
            yield f"{self.name}{_braces(self.labels, values)} {value!r}"


class Gauge(Counter):
    """A number that goes up and down."""

    kind = "gauge"


class Histogram:
    """How often a duration in seconds fell under each of `bounds`."""

    kind = "histogram"

    def __init__(self, name: str, help_text: str, labels: Labels, bounds: tuple[float, ...]) -> None:
        self.name = name
        self.help = help_text
        self.labels = labels
        self.bounds = bounds
        self._counts: dict[Labels, list[int]] = {}
        self._sums: dict[Labels, float] = {}

    def observe(self, label: Labels, seconds: float, times: int = 1) -> None:
        """`times` observations of `seconds` each."""
        counts = self._counts.get(label)
        if counts is None:
            counts = self._counts[label] = [0] * (len(self.bounds) + 1)
            self._sums[label] = 0.0
        counts[bisect_left(self.bounds, seconds)] += times
        self._sums[label] += seconds * times

    def count(self, *values: str) -> int:
        return sum(self._counts.get(values, ()))

    def lines(self) -> Iterator[str]:
        for values, counts in self._counts.items():
            total = 0
            for bound, count in zip((*map(repr, self.bounds), "+Inf"), counts, strict=True):
                total += count
                yield f"{self.name}_bucket{_braces((*self.labels, 'le'), (*values, bound))} {total}"
            yield f"{self.name}_sum{_braces(self.labels, values)} {self._sums[values]:.9g}"
            yield f"{self.name}_count{_braces(self.labels, values)} {total}"


def render(metrics: Iterable[Counter | Histogram]) -> bytes:
    """The page that Prometheus reads."""
    lines: list[str] = []
    for metric in metrics:
        lines += (f"# HELP {metric.name} {metric.help}", f"# TYPE {metric.name} {metric.kind}", *metric.lines())
    return ("\n".join(lines) + "\n").encode()


def _braces(names: Labels, values: Labels) -> str:
    if not names:
        return ""
    pairs = (f'{name}="{_escaped(value)}"' for name, value in zip(names, values, strict=True))
    return "{" + ",".join(pairs) + "}"


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
