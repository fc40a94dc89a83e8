"""What the matrices of a decoder read while it reads calibration text: layer after layer, with what the changed layers
before give now and with what the original ones gave.

A matrix is judged by its answers, so that what counts of its activations x [n, width] is x^T x. Where earlier layers
answer otherwise than they did (x, which was x0), a matrix can make good some of it: W' that answers x as W answered x0
is W x0^T x (x^T x)^-1, least squares over the text (GPTAQ, arXiv:2504.02692).

Does not know: what becomes of matrices, where calibration text comes from.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from penjing.export.decoder.model import Decoder, causal
from penjing.progress import Progress, Report

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

SAME = {"attention.k": "attention.q", "attention.v": "attention.q", "mlp.up": "mlp.gate"}
"""Matrices that read what another one reads."""
SHARE = 0.5
"""How much of an earlier error a matrix makes good: with all of it, it learns the text's peculiarities. On the guide
and three tiny models half of it left less divergence in held-out text than all or nothing."""
DAMP = 0.1
"""Share of the mean diagonal of x^T x that is added to it before it is inverted."""


@dataclass
class Products:
    """Sums over a text of products of each two columns of a matrix's activations, [width, width]: `now` x^T x,
    `crossed` x0^T x."""

    now: Tensor
    crossed: Tensor

    @classmethod
    def of(cls, width: int) -> Products:
        """Of no text yet."""
        return cls(torch.zeros(width, width), torch.zeros(width, width))

    def add(self, first: Tensor, values: Tensor) -> None:
        """Activations [n, width]: those of the original, those of now."""
        self.now.addmm_(values.T, values)
        self.crossed.addmm_(first.T, values)

    def aim(self, weight: Tensor) -> Tensor:
        """`weight` [rows, width], SHARE of the way to what makes good the errors of earlier layers."""
        now = self.now.double()
        mean = float(now.diagonal().mean()) or 1.0
        factor = torch.linalg.cholesky(now + DAMP * mean * torch.eye(len(now), dtype=torch.float64))
        change = torch.cholesky_solve((self.crossed.double() - now).T, factor).T
        return weight + SHARE * weight @ change.float()


Put = Callable[[nn.Module, dict[str, Products]], None]


def walk(
    decoder: Decoder, windows: Sequence[NDArray[np.int64]], block: int, put: Put, report: Report
) -> list[tuple[Tensor, Tensor]]:
    """Give `put` each layer of `decoder` in order, and the products of its matrices whose rows are whole blocks, by
    their names in the layer. What the last layer gave and gives for each of `windows` (tokens, each [n] of one length):
    two of [1, n, width]. `report` may raise to cancel."""
    with torch.no_grad():
        values, angles, masks = _enter(decoder, windows)
        first = values
        for index, (layer, sliding) in enumerate(zip(decoder.layers, decoder.shape.sliding, strict=True)):
            report(Progress(index / len(decoder.layers), "calibrating"))
            given = angles[sliding], masks[sliding], _alone
            products, first = _products(layer, list(zip(first, values, strict=True)), given, block)
            put(layer, products)
            values = [layer(each, *given) for each in values]
    return list(zip(first, values, strict=True))


def _alone(_: int, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
    """A layer sees its own window only."""
    return keys, values


def _enter(
    decoder: Decoder, windows: Sequence[NDArray[np.int64]]
) -> tuple[list[Tensor], list[tuple[Tensor, ...]], list[Tensor]]:
    """What the first layer gets for each window; rotations and masks, which all share."""
    positions = torch.arange(len(windows[0]))
    mask = causal(positions, len(positions), 0)
    near = decoder.near(mask, positions, len(positions))
    entered = [decoder.enter(torch.from_numpy(each)[None], positions, mask, near) for each in windows]
    return [each[0] for each in entered], entered[0][1], entered[0][2]


def _products(
    layer: nn.Module, values: Sequence[tuple[Tensor, Tensor]], given: tuple[object, ...], block: int
) -> tuple[dict[str, Products], list[Tensor]]:
    """Of each linear part of `layer` (as the original has it) whose rows are whole blocks, over `values` that were and
    are its input; what it gave."""
    parts = {name: each for name, each in layer.named_modules() if isinstance(each, nn.Linear)}
    parts = {name: each for name, each in parts.items() if each.in_features % block == 0}
    found = {name: Products.of(each.in_features) for name, each in parts.items() if name not in SAME}
    seen: dict[str, Tensor] = {}

    def watch(name: str) -> torch.utils.hooks.RemovableHandle:
        def keep(part: nn.Linear, read: tuple[Tensor]) -> None:
            seen[name] = read[0][0]

        return parts[name].register_forward_pre_hook(keep)

    handles, gave = [watch(name) for name in found], []
    try:
        for first, now in values:
            gave.append(layer(first, *given))
            earlier = dict(seen)
            layer(now, *given)
            for name, products in found.items():
                products.add(earlier[name], seen[name])
    finally:
        for handle in handles:
            handle.remove()
    return {name: found[SAME.get(name, name)] for name in parts}, gave
