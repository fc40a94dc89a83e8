"""What is known of how much a quantization changes a model's answers: published figures, each with its source.

Does not know: models. The figures are those of one model; others lose more or less, small ones more.
"""

from __future__ import annotations

import dataclasses
import functools
import math
import re
import sys
from dataclasses import dataclass
from importlib import resources
from typing import Literal

KNOWN_AS = {"FP16": "F16", "Q3_K": "Q3_K_M", "Q4_K": "Q4_K_M", "Q5_K": "Q5_K_M", "IQ4_NL_XL": "IQ4_NL"}
DECORATION = re.compile(r"^UD-|_X?X?L$|_MOE$")
UNQUANTIZED = {"F32": 32.0, "BF16": 16.0}
Basis = Literal["measured", "relative", "assumed"]
GRADES = {
    "as the original": 0.002,
    "hardly a difference": 0.02,
    "small loss": 0.05,
    "noticeable loss": 0.12,
    "clear loss": 0.5,
    "heavy loss": math.inf,
}
"""Words for a divergence up to so many nats: our own, put where the published table has its steps."""


@dataclass(frozen=True)
class Quality:
    """`kl` is the mean Kullback-Leibler divergence (nats) of the next word from the unquantized model's, `perplexity`
    how much that rises on WikiText-2, `bits` a weight in that file. `basis`: the figure was measured for this very
    type, for a near `relative` (another mixture of the same types), or is `assumed` from the bits a weight."""

    label: str
    kl: float
    perplexity: float
    bits: float
    model: str
    source: str
    imatrix: bool = False
    basis: Basis = "measured"

    @property
    def grade(self) -> str:
        """The divergence in words, an English template."""
        return grade(self.kl)


def grade(kl: float) -> str:
    """A divergence in words, an English template.

    >>> grade(0.031)
    'small loss'
    """
    return next(word for word, most in GRADES.items() if kl <= most)


def known(label: str) -> Quality | None:
    """What is known of a quantization; None where nothing is.

    >>> known("Q4_K_M").kl
    0.031273
    """
    table, label = _table(), KNOWN_AS.get(label, label)
    if label in table:
        return table[label]
    if label in UNQUANTIZED:
        return Quality(label, 0.0, 0.0, UNQUANTIZED[label], "", "")
    bare = DECORATION.sub("", DECORATION.sub("", label))
    near = next((name for name in (bare, f"{bare}_M", KNOWN_AS.get(bare, "")) if name in table), None)
    return dataclasses.replace(table[near], label=label, basis="relative") if near else None


def of(label: str, bits: float) -> Quality:
    """What is known of a quantization, else what its `bits` a weight let assume.

    >>> of("Q4_K_M", 4.9).basis, of("guide", 4.9).basis
    ('measured', 'assumed')
    """
    found = known(label)
    if found is not None:
        return found
    table = sorted(_table().values(), key=lambda quality: quality.bits)
    near = min(table, key=lambda quality: abs(quality.bits - bits))
    return dataclasses.replace(near, label=label, bits=bits, basis="assumed")


@functools.cache
def _table() -> dict[str, Quality]:
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib
    page = tomllib.loads((resources.files("penjing") / "data" / "quality.toml").read_text(encoding="utf-8"))
    common = page["measured"]
    return {
        label: Quality(label, entry[0], entry[1], entry[2], common["model"], common["source"], len(entry) > 3)
        for label, entry in page["type"].items()
    }
