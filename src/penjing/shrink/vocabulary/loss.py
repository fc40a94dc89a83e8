"""What text costs a model before and after its vocabulary grew, in nats a character: tokens are no measure that both
have in common.

Each piece of text stands alone behind the model's first token, or behind a line's end where it has none, so that all of
it is predicted. On the engine's own arithmetic.

Does not know: checkpoints, conversions.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from penjing.progress import Progress, Report
from penjing.shrink.evaluate.engine import Engine
from penjing.shrink.texts.read import pieces

LENGTH = 240
"""Characters of a piece: short enough for every context, whatever the tokenizer."""
MOST = 60
"""Pieces of a text that are read."""
BEFORE = "\n"


@dataclass(frozen=True)
class Loss:
    """Nats a character of the same text."""

    before: float
    after: float


def compare(
    before: Path, after: Path, texts: Mapping[str, Sequence[str]], *, threads: int = 0, report: Report | None = None
) -> dict[str, Loss]:
    """The loss of two GGUF files on each of `texts` (documents under a name); names without text are left out.
    `report` cancels by raising. Raises ModelError, LibraryMissing."""
    cut = {name: list(islice(_pieces(documents), MOST)) for name, documents in texts.items()}
    cut = {name: parts for name, parts in cut.items() if parts}
    total, done = 2 * sum(map(len, cut.values())), 0

    def told(count: int) -> None:
        if report is not None:
            report(Progress((done + count) / total, "evaluating"))

    found: dict[str, list[float]] = {name: [] for name in cut}
    for path in (before, after):
        with Engine(path, threads=threads) as engine:
            for name, parts in cut.items():
                given = engine.begun([]) or engine.tokenize(BEFORE, special=False)
                pairs = [(given, engine.tokenize(part, special=False)) for part in parts]
                nats = -sum(value for value, _ in engine.likelihoods(pairs, told))
                found[name].append(nats / sum(map(len, parts)))
                done += len(parts)
    return {name: Loss(*values) for name, values in found.items()}


def _pieces(documents: Sequence[str]) -> Iterator[str]:
    for document in documents:
        for part in pieces(document, LENGTH):
            yield from (part[at : at + LENGTH] for at in range(0, len(part), LENGTH))
