"""How much memory a model needs when it runs under llama.cpp, from its header alone.

    total = weights + KV cache + compute

KV cache: for each layer `kv_heads * (key_length * type + value_length * type)` bytes a cell, one cell a token, cells
padded to 256 (llama.cpp `llama-context.cpp`, GGML_PAD of n_ctx). A layer that attends to a sliding window keeps at
most `window * slots + ubatch` cells (`llama-kv-cache-iswa.cpp`, unified cache).

Compute: the largest graph of one micro-batch, an estimate (see `compute`). The others are exact: what llama.cpp
allocated for those shapes was the same to the byte.

Does not know: machines, how much memory is free, engines other than llama.cpp.
"""

from __future__ import annotations

from dataclasses import dataclass

from penjing.probe.facts import Model

WORKER = 16 << 20
"""Bytes of a worker with next to no model: interpreter, library, threads (14.4 MiB private memory measured)."""
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
class Terms:
    """What memory depends on besides model, context and slots: `ubatch` in tokens."""

    kv_type: str = "f16"
    ubatch: int = 512
    flash: bool = True


USUAL = Terms()


@dataclass(frozen=True)
class Need:
    """Bytes. `total` is the sum of the others."""

    weights: int
    kv: int
    compute: int

    @property
    def total(self) -> int:
        return self.weights + self.kv + self.compute


def need(model: Model, context: int, slots: int = 1, terms: Terms = USUAL) -> Need:
    """What `model` takes with `slots` conversations of up to `context` tokens each."""
    pool = context * slots
    return Need(
        weights=model.bytes,
        kv=kv_cache(model, pool, slots, terms),
        compute=compute(model, pool, slots, terms),
    )


def kv_cache(model: Model, pool: int, slots: int = 1, terms: Terms = USUAL) -> int:
    """Bytes of a KV cache of `pool` tokens that `slots` conversations share."""
    windowed = windowed_layers(model)
    cells = (model.layers - windowed) * padded(pool) + windowed * narrow_cells(model, pool, slots, terms)
    return round(cells * cell(model, terms.kv_type))


def narrow_cells(model: Model, pool: int, slots: int = 1, terms: Terms = USUAL) -> int:
    """Cells a layer with a sliding window keeps for all slots; 0 where no layer has one."""
    if not windowed_layers(model):
        return 0
    return min(padded(pool), padded(model.sliding_window * slots + terms.ubatch))


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


def compute(model: Model, pool: int, slots: int = 1, terms: Terms = USUAL) -> int:
    """Bytes of the working buffers: those of the largest micro-batch, and the worker itself.

    Fitted to what llama.cpp reported for sixteen llama and gemma shapes: at most 8 % above it, nowhere 1 % below. Each
    token of the micro-batch holds three feed-forward rows and five hidden rows in f32, and a row of each f16 attention
    mask; without flash attention the masks are f32 and every head has a row of scores beside them.
    """
    rows = min(terms.ubatch, padded(pool))
    widths = 3 * active_feed_forward(model) + 5 * model.embedding
    masks = padded(pool) + narrow_cells(model, pool, slots, terms)
    attention = masks * 2 if terms.flash else masks * 4 + padded(pool) * 4 * model.heads
    return rows * (widths * 4 + attention) + slots * model.vocabulary * 4 + WORKER


def active_feed_forward(model: Model) -> int:
    """Width of the feed-forward part one token passes: that of the experts it is sent to, where there are experts."""
    facts = (
        model.metadata.get(f"{model.architecture}.{key}") for key in ("expert_used_count", "expert_feed_forward_length")
    )
    used, width = (fact if isinstance(fact, int) else 0 for fact in facts)
    return max(model.feed_forward, used * width)


def largest_context(model: Model, budget: int, slots: int = 1, terms: Terms = USUAL, *, most: int = 1 << 20) -> int:
    """The longest context (tokens, a multiple of 256, or `most` itself) for which everything fits `budget` bytes; 0
    when not even the shortest does."""
    low, high = 0, -(-most // CELLS)
    while low < high:
        middle = (low + high + 1) // 2
        if need(model, min(middle * CELLS, most), slots, terms).total <= budget:
            low = middle
        else:
            high = middle - 1
    return min(low * CELLS, most)
