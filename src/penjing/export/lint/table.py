"""What each target takes, and what penjing says about what it does not: the files `data/lint/*.toml`.

Does not know: models, graphs.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import resources
from typing import Any, Literal

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

FOLDER = "data/lint"
WORDS = "words"
Level = Literal["blocks", "note", "rewritten", "taken"]
LEVELS: tuple[Level, ...] = ("blocks", "note", "rewritten")
"""What is told, the worst first: the target does not take it; it works and costs something; something else is written
in its place."""


@dataclass(frozen=True)
class Words:
    """What a kind of finding means for one target, as templates in both languages."""

    level: Level
    en: str = ""
    zh: str = ""


@dataclass(frozen=True)
class Table:
    """What `target` takes. `operators`: an ONNX operator (`MatMul`, `com.microsoft.MatMulNBits`) to what stands for it
    there. `opsets`: the oldest and newest it loads, None where it loads no ONNX. `says`: kinds of findings."""

    target: str
    sources: tuple[str, ...]
    operators: Mapping[str, str]
    opsets: tuple[int, int] | None = None
    says: Mapping[str, Words] = field(default_factory=dict)


def names() -> list[str]:
    """The targets that have a table, sorted."""
    files = resources.files("penjing").joinpath(FOLDER).iterdir()
    return sorted(file.name.removesuffix(".toml") for file in files if file.name != f"{WORDS}.toml")


@functools.cache
def table(target: str) -> Table:
    """That of one of `names()`."""
    common, found = _load(WORDS), _load(target)
    says = {**common, **found.get("says", {})}
    operators = found.get("operators") or dict.fromkeys(found.get("takes", ()), "")
    least_and_most = found.get("opsets")
    return Table(
        target=target,
        sources=tuple(found["sources"]),
        operators=operators,
        opsets=(least_and_most[0], least_and_most[1]) if least_and_most else None,
        says={kind: Words(**words) for kind, words in says.items()},
    )


def _load(name: str) -> dict[str, Any]:
    page = resources.files("penjing").joinpath(FOLDER, f"{name}.toml")
    return tomllib.loads(page.read_text(encoding="utf-8"))
