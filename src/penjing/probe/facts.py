"""`Model`: the facts of a model on disk, whatever its format.

Does not know: how they are read.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from penjing.probe.tensor import Tensor


@dataclass(frozen=True)
class Model:
    """Facts of a model. Counts are 0 (and texts empty) where the header does not say.

    `parameters` counts every number in the tensors, tied ones once; `bytes` is what the tensors take on disk.
    `context` is what it was trained for, in tokens. `sliding_window` in tokens, 0 where every layer sees everything.
    `key_length` and `value_length` are the widths of one head. `quantization` is the label of most of the weights
    (`"Q8_0"`, `"BF16"`). `architecture` is llama.cpp's name in a GGUF, `model_type` in a checkpoint. `metadata` holds
    every scalar of the header and no array (an array is replaced by its length)."""

    path: Path
    format: Literal["gguf", "safetensors"]
    architecture: str
    name: str = ""
    parameters: int = 0
    bytes: int = 0
    tensors: tuple[Tensor, ...] = field(default=(), repr=False)
    files: tuple[Path, ...] = ()
    context: int = 0
    layers: int = 0
    embedding: int = 0
    heads: int = 0
    kv_heads: int = 0
    key_length: int = 0
    value_length: int = 0
    feed_forward: int = 0
    vocabulary: int = 0
    sliding_window: int = 0
    experts: int = 0
    quantization: str = ""
    bits_per_weight: float = 0.0
    chat_template: str = field(default="", repr=False)
    has_vision: bool = False
    pooling: str = ""
    metadata: Mapping[str, object] = field(default_factory=dict, repr=False)


def commonest(tensors: tuple[Tensor, ...]) -> str:
    """The type that most of the numbers of `tensors` have; empty without tensors."""
    share: dict[str, int] = {}
    for tensor in tensors:
        share[tensor.type] = share.get(tensor.type, 0) + tensor.elements
    return max(share, key=lambda label: share[label]) if share else ""


def count(values: Mapping[str, object], *keys: str) -> int:
    """The first of `keys` that holds a count: a whole number below 2^63, or a per-layer tuple, whose largest item
    counts. 0 where none does."""
    for key in keys:
        value = values.get(key)
        if isinstance(value, tuple) and value and all(isinstance(item, int) for item in value):
            value = max(value)
        if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 1 << 63:
            return value
    return 0
