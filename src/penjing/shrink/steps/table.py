"""Which kinds of steps there are: ours, and those that installed packages register under the entry-point group
`penjing.steps`.

Does not know: what any of them does.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import entry_points

from penjing.shrink.steps.compare import COMPARE
from penjing.shrink.steps.evaluate import EVALUATE
from penjing.shrink.steps.kind import Kind
from penjing.shrink.steps.prune import PRUNE
from penjing.shrink.steps.quantize import QUANTIZE
from penjing.shrink.steps.training import DISTILL, FINETUNE
from penjing.shrink.steps.vocabulary import VOCABULARY

GROUP = "penjing.steps"
BUILT_IN: tuple[Kind, ...] = (VOCABULARY, PRUNE, DISTILL, FINETUNE, QUANTIZE, EVALUATE, COMPARE)


def kinds() -> Mapping[str, Kind]:
    """By name, in the order in which they usually follow each other; ours first."""
    others: list[Kind] = [entry.load() for entry in entry_points(group=GROUP)]
    return {kind.name: kind for kind in (*BUILT_IN, *others)}
