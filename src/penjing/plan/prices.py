"""What clouds ask for their models: prices of `data/prices.toml`, each with the day it was read and where.

Does not know: who pays, what is asked of a cloud.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources

from msgspec import Struct

from penjing.messages import Usage

MILLION = 1_000_000
DATED = re.compile(r"-(\d{4}-\d{2}-\d{2}|\d{4,8}|latest)$")
"""What clouds add to a model's name for one of its versions: `gpt-4o-2024-08-06`."""


class Price(Struct, frozen=True, forbid_unknown_fields=True):
    """US dollars for a million tokens; `cached` are prompt tokens read from a cache, at `input` where not given."""

    input: float = 0.0
    output: float = 0.0
    cached: float | None = None

    def __post_init__(self) -> None:
        if min(self.input, self.output, self.cached or 0.0) < 0:
            raise ValueError("a price is at least 0")

    def of(self, usage: Usage) -> float:
        """What `usage` costs, in US dollars.

        >>> Price(input=2.5, output=10.0).of(Usage(prompt_tokens=1000, completion_tokens=100))
        0.0035
        """
        cached = min(usage.cached_tokens, usage.prompt_tokens)
        fresh = usage.prompt_tokens - cached
        rate = self.input if self.cached is None else self.cached
        return (fresh * self.input + cached * rate + usage.completion_tokens * self.output) / MILLION


@dataclass(frozen=True)
class Listed:
    """A cloud's price as it was `read` (a date, ISO 8601) at `source`."""

    price: Price
    read: str
    source: str


def listed(model: str) -> Listed | None:
    """The price of a cloud's model, by the cloud's own name for it, with or without a version's date.

    >>> listed("gpt-4o-2024-08-06") == listed("gpt-4o")
    True
    """
    table = catalogue()
    return table.get(model) or table.get(DATED.sub("", model))


@cache
def catalogue() -> Mapping[str, Listed]:
    """Every price by the cloud's own name of the model."""
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib
    text = (resources.files("penjing") / "data" / "prices.toml").read_text(encoding="utf-8")
    return {
        name: Listed(
            Price(entry["input"], entry["output"], entry.get("cached")), entry["read"].isoformat(), entry["source"]
        )
        for name, entry in tomllib.loads(text).items()
    }
