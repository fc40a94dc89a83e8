"""The two forms of a cache that goes in and comes out: one that grows, one of a fixed size.

Keys and values are one tensor a layer, [1, kv_heads, tokens, head], and must be distinct objects in the example that an
exporter traces: it takes equal ones for the same input.

Does not know: runtimes.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from penjing.export.decoder.model import Decoder

Cached = tuple[Tensor, list[Tensor], list[Tensor]]
"""Logits [1, n, vocabulary], keys and values of all layers."""


class Growing(nn.Module):
    """A cache of what was read so far: its length is an axis that changes from call to call."""

    def __init__(self, decoder: Decoder) -> None:
        super().__init__()
        self.decoder = decoder

    def forward(self, ids: Tensor, positions: Tensor, k: list[Tensor], v: list[Tensor]) -> Cached:
        """`ids` [1, n] at `positions` [n] after the tokens in `k` and `v` ([1, kv_heads, past, head] each, past may be
        0); returns caches that are n longer."""
        keys: list[Tensor] = []
        values: list[Tensor] = []

        def update(layer: int, new_k: Tensor, new_v: Tensor) -> tuple[Tensor, Tensor]:
            keys.append(torch.cat((k[layer], new_k), 2))
            values.append(torch.cat((v[layer], new_v), 2))
            return keys[-1], values[-1]

        logits = self.decoder(ids, positions, k[0].shape[2] + ids.shape[1], update)
        return logits, keys, values

    def empty(self, past: int = 0) -> tuple[list[Tensor], list[Tensor]]:
        """Caches of `past` tokens of zeros."""
        return empty(self.decoder, past)


class Static(nn.Module):
    """A cache of `size` tokens, into which new ones are written at their positions."""

    def __init__(self, decoder: Decoder, size: int) -> None:
        super().__init__()
        self.decoder, self.size = decoder, size

    def forward(self, ids: Tensor, positions: Tensor, k: list[Tensor], v: list[Tensor]) -> Cached:
        """`ids` [1, n] at `positions` [n], all below `size`; caches of [1, kv_heads, size, head] in and out."""
        keys: list[Tensor] = []
        values: list[Tensor] = []

        def update(layer: int, new_k: Tensor, new_v: Tensor) -> tuple[Tensor, Tensor]:
            keys.append(k[layer].index_copy(2, positions, new_k))
            values.append(v[layer].index_copy(2, positions, new_v))
            return keys[-1], values[-1]

        return self.decoder(ids, positions, self.size, update), keys, values

    def empty(self) -> tuple[list[Tensor], list[Tensor]]:
        """Caches of zeros."""
        return empty(self.decoder, self.size)


def empty(decoder: Decoder, tokens: int) -> tuple[list[Tensor], list[Tensor]]:
    """Keys and values of zeros for all layers, each a tensor of its own."""
    shape = decoder.shape
    size = (1, shape.kv_heads, tokens, shape.head)
    return [torch.zeros(size) for _ in range(shape.layers)], [torch.zeros(size) for _ in range(shape.layers)]
