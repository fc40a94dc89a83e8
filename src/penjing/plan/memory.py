"""How much memory a model needs when it runs under llama.cpp, from its header alone.

    total = weights + KV cache + compute

KV cache: for each layer `kv_heads * (key_length * type + value_length * type)` bytes a cell, one cell a token, cells
padded to 256 (llama.cpp `llama-context.cpp`, GGML_PAD of n_ctx). A layer that attends to a sliding window keeps at
most `window * slots + ubatch` cells (`llama-kv-cache-iswa.cpp`, unified cache).

Compute: the largest graph of one micro-batch. An estimate, see `compute`.

Does not know: machines, how much memory is free, engines other than llama.cpp.
"""

from __future__ import annotations

from dataclasses import dataclass

from penjing.probe.facts import Model

CELLS = 256
"""The KV cache grows in steps of this many cells."""
KV_BYTES = {
    "f32": 4.0,
    "f16": 2.0,
    "bf16": 2.0,
    "q8_0": 34 / 32,
    "q5_1": 24 / 32,
    "q5_0": 22 / 32,
    "q4_1": 20 / 32,
    "q4_0": 18 / 32,
}
"""Bytes a number, from ggml's block layouts (bytes of a block over its 32 numbers)."""
FULL_EVERY = {"gemma2": 2, "gemma3": 6, "gemma3n": 5, "cohere2": 4, "gpt-oss": 2, "olmo2": 4, "exaone4": 4}
"""Architectures with sliding-window layers: one layer in so many sees everything (llama.cpp `set_swa_pattern`).
Others ignore a window in their header, as llama.cpp does."""


@dataclass(frozen=True)
class Need:
    """Bytes. `total` is the sum of the others."""

    weights: int
    kv: int
    compute: int

    @property
    def total(self) -> int:
        return self.weights + self.kv + self.compute


def need(model: Model, context: int, slots: int = 1, kv_type: str = "f16", ubatch: int = 512) -> Need:
    """What `model` takes with `slots` conversations of up to `context` tokens each."""
    pool = context * slots
    return Need(
        weights=model.bytes,
        kv=kv_cache(model, pool, slots, kv_type, ubatch),
        compute=compute(model, pool, ubatch),
    )


def kv_cache(model: Model, pool: int, slots: int = 1, kv_type: str = "f16", ubatch: int = 512) -> int:
    """Bytes of a KV cache of `pool` tokens that `slots` conversations share."""
    cells = padded(pool)
    windowed = windowed_layers(model)
    narrow = min(cells, padded(model.sliding_window * slots + ubatch)) if windowed else 0
    return round(((model.layers - windowed) * cells + windowed * narrow) * cell(model, kv_type))


def cell(model: Model, kv_type: str = "f16") -> float:
    """Bytes that one token takes in the KV cache of one layer."""
    return model.kv_heads * (model.key_length + model.value_length) * KV_BYTES[kv_type]


def windowed_layers(model: Model) -> int:
    """How many layers keep only a sliding window."""
    every = FULL_EVERY.get(model.architecture, 0)
    return model.layers - model.layers // every if every and model.sliding_window else 0


def padded(tokens: int) -> int:
    """Rounded up to whole steps of the cache.

    >>> padded(1), padded(256), padded(257)
    (256, 256, 512)
    """
    return -(-tokens // CELLS) * CELLS


def compute(model: Model, pool: int, ubatch: int = 512) -> int:
    """Bytes of the working buffers of one micro-batch: an upper estimate.

    The logits and hidden states of `ubatch` tokens in f32, the feed-forward's two halves, and the attention mask.
    """
    rows = min(ubatch, padded(pool))
    widest = max(2 * model.feed_forward, model.heads * model.key_length * 3) + 2 * model.embedding
    logits = rows * (model.vocabulary + model.embedding) * 4
    mask = rows * padded(pool) * 4
    return logits + rows * widest * 4 + mask


def largest_context(
    model: Model, budget: int, slots: int = 1, kv_type: str = "f16", ubatch: int = 512, *, most: int = 1 << 20
) -> int:
    """The longest context (tokens, a multiple of 256, at most `most`) for which everything fits `budget` bytes; 0 when
    not even the shortest does."""
    low, high = 0, max(1, most // CELLS)
    while low < high:
        middle = (low + high + 1) // 2
        if need(model, middle * CELLS, slots, kv_type, ubatch).total <= budget:
            low = middle
        else:
            high = middle - 1
    return low * CELLS
