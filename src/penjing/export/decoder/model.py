"""The one decoder that every exporter traces: plain torch operations, no control flow that depends on numbers.

Families differ in its configuration only. Where keys and values are kept is the caller's (`cache`): each layer hands
over what it computed and gets what it may look at.

Does not know: files, runtimes, any kind of cache.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from pathlib import Path

import torch
from torch import Tensor, nn

from penjing.export.decoder.rotary import rotaries, rotate
from penjing.export.decoder.shape import Shape

MASKED = -30000.0
"""Added to the scores of what must not be seen: far below any score, and half precision holds the sum."""

Update = Callable[[int, Tensor, Tensor], tuple[Tensor, Tensor]]
"""Layer, its new keys and values [1, kv_heads, n, head]; returns all that it looks at, [1, kv_heads, seen, head]."""


class Norm(nn.Module):
    """Root mean square norm over the last axis, in float32 whatever the rest computes in (arXiv 1910.07467)."""

    def __init__(self, width: int, eps: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(width))
        self.eps = eps

    def forward(self, values: Tensor) -> Tensor:
        """The shape of `values` stays."""
        exact = values.float()
        exact = exact * torch.rsqrt(exact.pow(2).mean(-1, keepdim=True) + self.eps)
        return (exact * self.weight.float()).to(values.dtype)


class Attention(nn.Module):
    """Queries that share a key-value head are rows of one matrix, so that no key is copied for each of them."""

    def __init__(self, shape: Shape, prefix: str, present: Collection[str]) -> None:
        super().__init__()
        self.shape = shape
        queries, keys = shape.heads * shape.head, shape.kv_heads * shape.head
        self.q = nn.Linear(shape.width, queries, bias=f"{prefix}.q.bias" in present)
        self.k = nn.Linear(shape.width, keys, bias=f"{prefix}.k.bias" in present)
        self.v = nn.Linear(shape.width, keys, bias=f"{prefix}.v.bias" in present)
        self.o = nn.Linear(queries, shape.width, bias=f"{prefix}.o.bias" in present)
        self.q_norm = Norm(shape.head, shape.eps) if f"{prefix}.q_norm.weight" in present else None
        self.k_norm = Norm(shape.head, shape.eps) if f"{prefix}.k_norm.weight" in present else None

    def forward(self, x: Tensor, angles: tuple[Tensor, Tensor], mask: Tensor, layer: int, update: Update) -> Tensor:
        """`x` [1, n, width]; `mask` [1, group * n, seen] is added to the scores."""
        shape, n = self.shape, x.shape[1]
        group = shape.heads // shape.kv_heads
        q = self.q(x).view(1, n, shape.heads, shape.head)
        k = self.k(x).view(1, n, shape.kv_heads, shape.head)
        v = self.v(x).view(1, n, shape.kv_heads, shape.head).transpose(1, 2)
        cos, sin = (each[:, None] for each in angles)  # while heads are an axis behind positions, all is contiguous
        q = rotate(self.q_norm(q) if self.q_norm is not None else q, cos, sin) * shape.scale
        k = rotate(self.k_norm(k) if self.k_norm is not None else k, cos, sin)
        keys, values = update(layer, k.transpose(1, 2), v)
        q = q.view(n, shape.kv_heads, group, shape.head).permute(1, 2, 0, 3)
        q = q.reshape(shape.kv_heads, group * n, shape.head)
        scores = torch.bmm(q, keys[0].transpose(1, 2))
        if shape.attention_cap:
            scores = torch.tanh(scores / shape.attention_cap) * shape.attention_cap
        weights = torch.softmax((scores + mask).float(), -1).to(x.dtype)
        seen = torch.bmm(weights, values[0]).view(shape.kv_heads, group, n, shape.head)
        return self.o(seen.permute(2, 0, 1, 3).reshape(1, n, shape.heads * shape.head))


class FeedForward(nn.Module):
    """The gated feed-forward part (arXiv 2002.05202)."""

    def __init__(self, shape: Shape, prefix: str, present: Collection[str]) -> None:
        super().__init__()
        self.gate = nn.Linear(shape.width, shape.inner, bias=f"{prefix}.gate.bias" in present)
        self.up = nn.Linear(shape.width, shape.inner, bias=f"{prefix}.up.bias" in present)
        self.down = nn.Linear(shape.inner, shape.width, bias=f"{prefix}.down.bias" in present)
        self.gelu = shape.kind.activation == "gelu"

    def forward(self, x: Tensor) -> Tensor:
        """[1, n, width] to the same."""
        gate = self.gate(x)
        active = nn.functional.gelu(gate, approximate="tanh") if self.gelu else nn.functional.silu(gate)
        return self.down(active * self.up(x))


class Layer(nn.Module):
    """One block: attention and feed-forward part, each with a norm before it and, in some families, one after."""

    def __init__(self, shape: Shape, index: int, present: Collection[str]) -> None:
        super().__init__()
        prefix = f"layers.{index}"
        self.index = index
        self.attention = Attention(shape, f"{prefix}.attention", present)
        self.mlp = FeedForward(shape, f"{prefix}.mlp", present)
        self.before_attention = Norm(shape.width, shape.eps)
        self.before_mlp = Norm(shape.width, shape.eps)
        after = [f"{prefix}.{name}.weight" in present for name in ("after_attention", "after_mlp")]
        self.after_attention = Norm(shape.width, shape.eps) if after[0] else None
        self.after_mlp = Norm(shape.width, shape.eps) if after[1] else None

    def forward(self, x: Tensor, angles: tuple[Tensor, Tensor], mask: Tensor, update: Update) -> Tensor:
        """`x` [1, n, width] to the same."""
        seen = self.attention(self.before_attention(x), angles, mask, self.index, update)
        x = x + (self.after_attention(seen) if self.after_attention is not None else seen)
        thought = self.mlp(self.before_mlp(x))
        return x + (self.after_mlp(thought) if self.after_mlp is not None else thought)


class Decoder(nn.Module):
    """A whole model without a cache. `present` names the weights that there are, which decides about biases and norms.
    `context` chooses among a rotation's factors; with `rows`, rotations are tables of so many positions. `tied`: the
    head has the embedding's numbers."""

    def __init__(
        self, shape: Shape, vocabulary: int, present: Collection[str], folder: Path, context: int, rows: int = 0
    ) -> None:
        super().__init__()
        self.shape, self.vocabulary = shape, vocabulary
        self.tied = False
        self.embedding = nn.Embedding(vocabulary, shape.width)
        self.layers = nn.ModuleList(Layer(shape, index, present) for index in range(shape.layers))
        self.norm = Norm(shape.width, shape.eps)
        self.head = nn.Linear(shape.width, vocabulary, bias="head.bias" in present)
        with torch.device("cpu"):  # the rest may be without memory until it gets its weights
            self.rotary, self.rotary_sliding = rotaries(shape, folder, context, rows)

    def forward(self, ids: Tensor, positions: Tensor, seen: int, update: Update) -> Tensor:
        """Logits [1, n, vocabulary] of `ids` [1, n] (int) at `positions` [n] (int), where each layer looks at keys of
        the positions 0 to `seen` - 1."""
        visible = causal(positions, seen, 0)
        return self.run(ids, positions, visible, self.near(visible, positions, seen), update)

    def near(self, mask: Tensor, positions: Tensor, seen: int) -> Tensor:
        """`mask` for layers that see a window only; itself where there are none."""
        return causal(positions, seen, self.shape.window) if any(self.shape.sliding) else mask

    def run(self, ids: Tensor, positions: Tensor, mask: Tensor, near: Tensor, update: Update) -> Tensor:
        """As `forward`, with masks [n, seen] that are added to scores: `near` for layers with a window."""
        x, angles, masks = self.enter(ids, positions, mask, near)
        for layer, sliding in zip(self.layers, self.shape.sliding, strict=True):
            x = layer(x, angles[sliding], masks[sliding], update)
        return self.leave(x)

    def enter(
        self, ids: Tensor, positions: Tensor, mask: Tensor, near: Tensor
    ) -> tuple[Tensor, list[tuple[Tensor, ...]], list[Tensor]]:
        """What layers begin with: values [1, n, width]; then rotations and masks, each for layers that see everything
        and for those with a window."""
        shape = self.shape
        x = self.embedding(ids)
        if shape.embedding_scale != 1:
            x = x * shape.embedding_scale
        group = shape.heads // shape.kv_heads
        wide = [each.to(x.dtype)[None].repeat(1, group, 1) for each in (mask, near)]
        angles = [
            tuple(each.to(x.dtype) for each in rotary(positions)) for rotary in (self.rotary, self.rotary_sliding)
        ]
        return x, angles, wide

    def leave(self, x: Tensor) -> Tensor:
        """Logits of what the last layer gave."""
        logits: Tensor = self.head(self.norm(x))
        cap = self.shape.logit_cap
        return torch.tanh(logits / cap) * cap if cap else logits


def causal(positions: Tensor, seen: int, window: int) -> Tensor:
    """What is added to scores, float32 [n, seen]: 0 for positions up to one's own (the last `window` of them, where it
    is not 0), MASKED elsewhere."""
    columns = torch.arange(seen, device=positions.device)[None, :]
    rows = positions[:, None]
    visible = columns <= rows
    if window:
        visible = visible & (columns > rows - window)
    return torch.where(visible, 0.0, MASKED)
