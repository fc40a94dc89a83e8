"""Weights of a decoder as small whole numbers with a scale for every few of a row, chosen so that its matrices answer
calibration text as they did.

Columns are settled one after another, and each error is carried over to those that follow (GPTQ, arXiv:2210.17323):
what counts is the error of a row's product with the activations, e^T H e. The scale of a block is the best of some that
clip it more and more, its weights counting by what their error costs once later columns have made good what they can
(the diagonal of H's inverse). Layers are settled in order, and each makes good some of what those before it got wrong
(`activations`).

What comes out lies on the numbers' grid. A quantizer that takes the largest number of a block for its range finds the
same grid again: signed blocks always use its end, and scales are bfloat16, which every target can hold.

Does not know: targets, where calibration text comes from.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from penjing.export.activations import Products, walk
from penjing.export.decoder.model import Decoder
from penjing.progress import Report, span

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

LENGTH = 256
"""Tokens of a window that are enough: on the guide, 32 of 512 gave the same divergence."""
DAMP = 0.01
"""Share of H's mean diagonal that is added to it: calibration saw a sample only."""
STEP = 32
"""Columns that are settled before the others hear of it, where blocks do not say."""
CLIPS = torch.linspace(1.0, 0.5, 26)
"""Shares of a block's range that are tried."""


@dataclass(frozen=True)
class Grid:
    """`block` weights share a scale; numbers go from `lowest` to `highest`, around 0 or, `shifted`, around a number of
    the block's own."""

    block: int
    lowest: int
    highest: int
    shifted: bool = False


@dataclass(frozen=True)
class Blocks:
    """A matrix [rows, width] as `numbers` int8 [rows, blocks, block], `scales` float32 and `middles` int8 [rows,
    blocks]: (number - middle) * scale."""

    numbers: Tensor
    scales: Tensor
    middles: Tensor

    def weight(self) -> Tensor:
        """float32 [rows, width]."""
        whole = (self.numbers - self.middles[..., None]).float() * self.scales[..., None]
        return whole.flatten(1)


def signed(bits: int, block: int) -> Grid:
    """As many numbers below 0 as above."""
    top = (1 << (bits - 1)) - 1
    return Grid(block, -top, top)


def shifted(bits: int, block: int) -> Grid:
    """All numbers of `bits` bits, around a middle."""
    return Grid(block, 0, (1 << bits) - 1, shifted=True)


def fit(
    decoder: Decoder, windows: Sequence[NDArray[np.int64]], grid: Grid, report: Report, *, head: bool
) -> dict[str, Blocks]:
    """Put the layers' matrices of `decoder` (float32, rows of whole blocks; others stay as they are), and its head's
    with `head`, on `grid`, in place. `windows` are tokens, each [n] of one length. By the weights' names what they are
    now. `report` may raise to cancel."""
    made: dict[str, Blocks] = {}

    def put(layer: nn.Module, products: dict[str, Products]) -> None:
        for name, each in products.items():
            made[f"layers.{layer.index}.{name}.weight"] = _put(layer.get_submodule(name), each, grid)

    share = len(decoder.layers) / (len(decoder.layers) + head)
    values = walk(decoder, windows, grid.block, put, span(report, 0, share))
    if head and decoder.head.in_features % grid.block == 0:
        read = Products.of(decoder.head.in_features)
        with torch.no_grad():
            for first, now in values:
                read.add(decoder.norm(first)[0], decoder.norm(now)[0])
        made["head.weight"] = _put(decoder.head, read, grid)
    return made


def _put(part: nn.Module, products: Products, grid: Grid) -> Blocks:
    """Settle the matrix of a linear part."""
    assert isinstance(part, nn.Linear)
    made = settle(products.aim(part.weight.detach()), products.now, grid)
    part.weight = nn.Parameter(made.weight(), requires_grad=False)
    return made


def settle(weight: Tensor, product: Tensor, grid: Grid) -> Blocks:
    """`weight` [rows, width] in blocks, where `product` [width, width] is H."""
    upper = _upper(product)
    costs = upper.diagonal().square().reciprocal()
    target = weight.clone()
    rows, width = weight.shape
    numbers = torch.empty(rows, width // grid.block, grid.block, dtype=torch.int8)
    scales = torch.empty(rows, width // grid.block)
    middles = torch.zeros(rows, width // grid.block, dtype=torch.int8)
    for place in range(width // grid.block):
        begin, end = place * grid.block, (place + 1) * grid.block
        scale, middle = choose(target[:, begin:end], costs[begin:end], grid)
        codes, errors = _carry(target[:, begin:end], upper[begin:end, begin:end], scale, middle, grid)
        target[:, end:] -= errors @ upper[begin:end, end:]
        numbers[:, place], scales[:, place], middles[:, place] = codes, scale, middle
    return Blocks(numbers, scales, middles)


def _upper(product: Tensor) -> Tensor:
    """U with U^T U = H's inverse, H damped so that it has one."""
    mean = float(product.diagonal().mean()) or 1.0
    damped = product.double() / mean + DAMP * torch.eye(len(product), dtype=torch.float64)
    inverse = torch.cholesky_inverse(torch.linalg.cholesky(damped))
    return torch.linalg.cholesky(inverse, upper=True).float()


def _carry(target: Tensor, upper: Tensor, scale: Tensor, middle: Tensor, grid: Grid) -> tuple[Tensor, Tensor]:
    """Numbers of one block [rows, block], and what its errors are to the columns that follow; `target` is used up."""
    numbers, errors = torch.empty_like(target), torch.empty_like(target)
    safe = torch.where(scale == 0, 1, scale)
    end = torch.where(scale == 0, 0, grid.highest)
    largest = target.abs().argmax(1)
    for column in range(target.shape[1]):
        wanted = target[:, column]
        number = torch.round(wanted / safe + middle).clamp(grid.lowest, grid.highest)
        if not grid.shifted:  # the end of the grid is always used, so that the block's range tells its scale
            number = torch.where(largest == column, torch.sign(wanted) * end, number)
        error = (wanted - (number - middle) * scale) / upper[column, column]
        target[:, column + 1 :] -= error[:, None] * upper[column, column + 1 :]
        numbers[:, column], errors[:, column] = number, error
    return numbers.to(torch.int8), errors


def choose(weight: Tensor, costs: Tensor, grid: Grid) -> tuple[Tensor, Tensor]:
    """Scale and middle of each row of `weight` [rows, block]: those of the least error, where errors cost `costs`
    [block]."""
    low, high = weight.amin(1).clamp(max=0), weight.amax(1).clamp(min=0)
    if not grid.shifted:
        high = torch.maximum(-low, high)
        low = -high
    best = torch.full_like(high, torch.inf)
    scales, middles = torch.zeros_like(high), torch.zeros_like(high)
    for share in CLIPS:
        scale = _held((high - low) * share / (grid.highest - grid.lowest))
        safe = torch.where(scale == 0, 1, scale)
        middle = torch.round(grid.lowest - low * share / safe) if grid.shifted else torch.zeros_like(high)
        number = torch.round(weight / safe[:, None] + middle[:, None]).clamp(grid.lowest, grid.highest)
        error = ((weight - (number - middle[:, None]) * scale[:, None]).square() * costs).sum(1)
        better = error < best
        best = torch.where(better, error, best)
        scales, middles = torch.where(better, scale, scales), torch.where(better, middle, middles)
    return scales, middles.to(torch.int8)


def _held(scale: Tensor) -> Tensor:
    """As bfloat16 that float16 holds too."""
    return scale.to(torch.bfloat16).clamp(max=60000.0).to(torch.float16).float()


def assign(weight: Tensor, tables: Tensor, product: Tensor) -> Tensor:
    """`weight` [rows, width] of numbers in `tables` [groups, levels], each for as many rows as the others, where
    `product` [width, width] is H."""
    upper, target = _upper(product), weight.clone()
    found = torch.empty_like(weight)
    for begin in range(0, weight.shape[1], STEP):
        end = min(begin + STEP, weight.shape[1])
        errors = torch.empty(len(weight), end - begin)
        for column in range(begin, end):
            wanted = target[:, column].view(len(tables), -1)
            nearest = (wanted[..., None] - tables[:, None]).abs().argmin(-1)
            found[:, column] = tables.gather(1, nearest).flatten()
            errors[:, column - begin] = (target[:, column] - found[:, column]) / upper[column, column]
            target[:, column + 1 : end] -= errors[:, column - begin, None] * upper[column, column + 1 : end]
        target[:, end:] -= errors @ upper[begin:end, end:]
    return found
