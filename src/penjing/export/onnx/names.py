"""What the tensors of an ONNX decoder are called, as Optimum and ONNX Runtime GenAI call them.

Does not know: graphs.
"""

from __future__ import annotations

from collections.abc import Sequence

IDS, POSITIONS, LOGITS = "input_ids", "position_ids", "logits"
PARTS = ("key", "value")
PAST, PRESENT = "past_key_values", "present"


def past(layer: int | str, part: str) -> str:
    """What goes in."""
    return f"{PAST}.{layer}.{part}"


def present(layer: int | str, part: str) -> str:
    """What comes out and goes in with the next call."""
    return f"{PRESENT}.{layer}.{part}"


def caches(layers: Sequence[int]) -> list[tuple[str, str]]:
    """Those of `layers` in the graph's order, what goes in beside what comes out: keys of all layers, then values."""
    return [(past(layer, part), present(layer, part)) for part in PARTS for layer in layers]
