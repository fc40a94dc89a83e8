"""How much memory a model needs when it runs under llama.cpp, from its header alone.

    total = weights + KV cache + compute + runtime

KV cache: `keys + values` numbers a layer and cell, one cell a token, cells padded to 256 (llama.cpp
`llama-context.cpp`, GGML_PAD of n_ctx). A layer that attends to a sliding window keeps at most `window * slots +
ubatch` cells (`llama-kv-cache-iswa.cpp`, unified cache); what else layers keep is told by `layers`.

Compute: the largest graph of one micro-batch, an estimate (see `compute`). Weights and cache are exact: what llama.cpp
allocated for those shapes was the same to the byte. What a process has in memory besides (`reclaimable`) are pages of
the file whose weights were interleaved into copies; they are given back where memory is short.

Does not know: machines, how much memory is free, engines other than llama.cpp.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from penjing.plan.layers import Layer, each, fact, layers
from penjing.plan.weights import doubled
from penjing.probe.facts import Model

WORKER = 34 << 20
"""Bytes of a worker with next to no model: interpreter, library, threads (8 MiB of them shared with others')."""
WORD = 150
"""Bytes a word of the vocabulary takes in the tokenizer's tables (130 to 170 measured)."""
CELLS = 256
"""The KV cache grows in steps of this many cells."""
CHECKPOINTS = 2
"""Copies of a conversation's windows and states that llama.cpp's server keeps after one prompt; more after each 8192
tokens."""
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


@dataclass(frozen=True)
class Terms:
    """What memory depends on besides model, context and slots: `ubatch` in tokens, `repacks` the types that are
    interleaved (`weights.repacking`)."""

    kv_type: str = "f16"
    ubatch: int = 512
    flash: bool = True
    repacks: frozenset[str] = frozenset()


USUAL = Terms()


@dataclass(frozen=True)
class Need:
    """Bytes. `total` is the sum of the parts but `reclaimable`; `resident` is that of all."""

    weights: int
    kv: int
    compute: int
    runtime: int = 0
    reclaimable: int = 0

    @property
    def total(self) -> int:
        return self.weights + self.kv + self.compute + self.runtime

    @property
    def resident(self) -> int:
        """What a process monitor shows on a machine with room to spare."""
        return self.total + self.reclaimable


def need(model: Model, context: int, slots: int = 1, terms: Terms = USUAL) -> Need:
    """What `model` takes with `slots` conversations of up to `context` tokens each."""
    pool = context * slots
    return Need(
        weights=model.bytes,
        kv=kv_cache(model, pool, slots, terms),
        compute=compute(model, pool, slots, terms),
        runtime=runtime(model, slots, terms),
        reclaimable=doubled(model, terms.repacks),
    )


def kv_cache(model: Model, pool: int, slots: int = 1, terms: Terms = USUAL) -> int:
    """Bytes of a KV cache of `pool` tokens that `slots` conversations share, and of their states."""
    return kv_of(each(model), pool, slots, terms)


def kv_of(some: Sequence[Layer], pool: int, slots: int, terms: Terms) -> int:
    """The same of `some` of a model's layers."""
    size = 0.0
    for layer in some:
        cells = kept_cells(layer, pool, slots, terms)
        size += cells * (layer.keys + layer.values) * KV_BYTES[terms.kv_type] + layer.state * slots
    return round(size)


def kept_cells(layer: Layer, pool: int, slots: int, terms: Terms) -> int:
    """Cells that a layer keeps for all slots."""
    return min(padded(pool), padded(layer.window * slots + terms.ubatch)) if layer.window else padded(pool)


def narrow_cells(model: Model, pool: int, slots: int = 1, terms: Terms = USUAL) -> int:
    """Cells a layer with a sliding window keeps for all slots; 0 where no layer has one."""
    return max((kept_cells(layer, pool, slots, terms) for layer in layers(model) if layer.window), default=0)


def padded(tokens: int) -> int:
    """Rounded up to whole steps of the cache.

    >>> padded(1), padded(256), padded(257)
    (256, 256, 512)
    """
    return -(-tokens // CELLS) * CELLS


def compute(model: Model, pool: int, slots: int = 1, terms: Terms = USUAL) -> int:
    """Bytes of the working buffers: those of the largest micro-batch.

    Fitted to what llama.cpp reported for llama, gemma and DeepSeek shapes: at most 8 % above it, nowhere 1 % below.
    Each token of the micro-batch holds three feed-forward rows and five hidden rows in f32, and a row of each f16
    attention mask; without flash attention the masks are f32 and every head has a row of scores beside them.
    """
    rows = min(terms.ubatch, padded(pool))
    widths = 3 * active_feed_forward(model) + 5 * model.embedding
    masks = padded(pool) + narrow_cells(model, pool, slots, terms)
    attention = masks * 2 if terms.flash else masks * 4 + padded(pool) * 4 * model.heads
    return rows * (widths * 4 + attention) + slots * model.vocabulary * 4


def runtime(model: Model, slots: int = 1, terms: Terms = USUAL) -> int:
    """Bytes of the worker itself, its vocabulary, and copies of windows and states to go back to."""
    copied = 0.0
    for layer, number in layers(model).items():
        copied += number * (layer.window * (layer.keys + layer.values) * KV_BYTES[terms.kv_type] + layer.state)
    return WORKER + model.vocabulary * WORD + round(copied) * CHECKPOINTS * slots


def active_feed_forward(model: Model) -> int:
    """Width of the feed-forward part one token passes: that of the experts it is sent to, where there are experts."""
    used = fact(model, "expert_used_count", "num_experts_per_tok")
    width = fact(model, "expert_feed_forward_length", "moe_intermediate_size")
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
