"""Kullback-Leibler divergence of two models' logits with its gradient in one pass, a few rows at a time: autograd's own
way keeps some eight tensors of [tokens, vocabulary], this one: the gradient.

Does not know: models, batches.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

BLOCK = 1 << 18
"""Logits computed at once: what stays in a core's cache (1 MiB of each tensor)."""


def kl(wanted: Tensor, found: Tensor, temperature: float = 1.0, *, reverse: bool = False) -> Tensor:
    """KL(wanted || found), in nats summed over rows, of logits [n, vocabulary] float32 divided by `temperature`; with
    `reverse` KL(found || wanted). Only `found` gets a gradient. A scalar, float32."""
    return _KL.apply(found, wanted, temperature, reverse)


class _KL(torch.autograd.Function):
    """With p of what is wanted and q = softmax(z / T) of what is found: d KL(p || q) / dz = (q - p) / T and
    d KL(q || p) / dz = q (log q - log p - KL(q || p)) / T."""

    @staticmethod
    def forward(ctx: Any, found: Tensor, wanted: Tensor, temperature: float, reverse: bool) -> Tensor:
        gradient = torch.empty_like(found) if ctx.needs_input_grad[0] else None
        total = found.new_zeros(())
        rows = max(1, BLOCK // found.shape[-1])
        for begin in range(0, found.shape[0], rows):
            here = slice(begin, begin + rows)
            p, q = (
                (part if temperature == 1 else part / temperature).log_softmax(-1)
                for part in (wanted[here], found[here])
            )
            weight, apart = (q.exp(), q - p) if reverse else (p.exp(), p - q)
            each = (weight * apart).sum(-1, keepdim=True)
            total += each.sum()
            if gradient is not None:
                slope = weight * (apart - each) if reverse else q.exp_() - weight
                gradient[here] = slope.div_(temperature)
        if gradient is not None:
            ctx.save_for_backward(gradient)
        return total

    @staticmethod
    def backward(ctx: Any, *given: Tensor) -> tuple[Tensor, None, None, None]:
        (gradient,) = ctx.saved_tensors
        return gradient * given[0], None, None, None
