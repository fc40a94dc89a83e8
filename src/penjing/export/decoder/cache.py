"""A cache that goes into a decoder and comes out of it longer.

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
        """Caches of `past` tokens of zeros: keys and values of all layers, each a tensor of its own."""
        shape = self.decoder.shape
        size = (1, shape.kv_heads, past, shape.head)
        return [torch.zeros(size) for _ in range(shape.layers)], [torch.zeros(size) for _ in range(shape.layers)]
