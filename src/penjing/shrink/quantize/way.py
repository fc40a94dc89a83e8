"""How much is read on the way to a file of a size, and how long each stage of the way is beside the others.

All in tokens: a stage that takes as long as reading so many tokens with the whole model.

Does not know: texts, files, what a stage does.
"""

from __future__ import annotations

from dataclasses import dataclass

from penjing.shrink.quantize.refine import EXCHANGES
from penjing.shrink.quantize.worth import FINE

CALIBRATED, FEWEST = 96, 8
"""Windows that columns are measured on: some 49,000 tokens, and what large models read at least."""
CALIBRATION = 1e14
"""Operations of that, about: large models read fewer windows."""
COMPARED = 8
"""Windows that a file is compared on, at most."""
COMPARISON = 5e12
"""Operations of one comparison, about."""
TRYING, WRITING = 83_000, 4_000
"""Trying every number of a model at all its types (a sample is enough, so less of large ones is tried), and writing it
with its errors made good: seen on a model of 6 million parameters; both grow with the weights, as reading does."""
QUICKLY = WRITING // 2
"""Coding all of a large model once for what is measured (rounding without sweeps is about twice as
fast); of small ones, reading takes nearly all the time."""


def calibrated(parameters: int, context: int) -> int:
    """How many windows of `context` tokens a model of that size is calibrated on."""
    return int(max(FEWEST, min(CALIBRATED, CALIBRATION / (2 * max(parameters, 1) * context))))


def compared(parameters: int, context: int) -> int:
    """How many windows a file of it is compared on."""
    return int(max(1, min(COMPARED, COMPARISON / (2 * max(parameters, 1) * context))))


@dataclass(frozen=True)
class Way:
    """Tokens of each stage: of the text that columns are measured on, of trying types, of measuring what errors cost,
    of files that are tried as a whole, of writing the result."""

    reading: int
    trying: int
    measuring: int
    refining: int
    writing: int

    @classmethod
    def to_size(
        cls, parameters: int, groups: int, windows: int, context: int, *, sample: int, known: bool = False
    ) -> Way:
        """For a model whose tensors are measured in so many `groups`, and of which `sample` numbers are tried at all
        types. `known`: what columns are worth is."""
        each = min(windows, compared(parameters, context)) * context
        refined = groups + 2 * EXCHANGES if parameters <= FINE else 0
        trying = TRYING * sample // max(parameters, sample, 1)
        coding = 0 if parameters <= FINE else QUICKLY
        return cls(0 if known else windows * context, trying, groups * each + coding, refined * each, WRITING)

    @classmethod
    def to_mixture(cls, windows: int, context: int) -> Way:
        """Where the types are given."""
        return cls(windows * context, 0, 0, 0, WRITING)

    @property
    def tokens(self) -> int:
        """Of all stages."""
        return self.reading + self.trying + self.measuring + self.refining + self.writing

    @property
    def starts(self) -> tuple[float, float, float, float]:
        """Where trying, measuring, refining and writing begin, from 0 to 1."""
        done, found = 0, []
        for stage in (self.reading, self.trying, self.measuring, self.refining):
            done += stage
            found.append(done / self.tokens)
        return found[0], found[1], found[2], found[3]
