"""Matrices in blocks of small numbers: closer to what they answered than rounding is, and found again by a quantizer
that looks at a block's largest number."""

from __future__ import annotations

import pytest

pytestmark = pytest.mark.exports
torch = pytest.importorskip("torch")

from penjing.export import calibration  # noqa: E402
from penjing.export.blocks import Grid, assign, fit, settle, shifted, signed  # noqa: E402
from penjing.export.decoder import weights  # noqa: E402
from penjing.export.target import Options  # noqa: E402
from penjing.progress import Progress  # noqa: E402
from penjing.store.resolve import guide  # noqa: E402

GRIDS = [signed(4, 32), shifted(4, 32)]


def silent(progress: Progress) -> None:
    """Nobody listens."""


def correlated(width: int) -> torch.Tensor:
    """Sums of products of activations of which some go together, as those of models do."""
    values = torch.randn(256, width) @ torch.randn(width, width) * torch.linspace(0.1, 3, width)
    return values.T @ values


def rounded(weight: torch.Tensor, grid: Grid) -> torch.Tensor:
    """Each block's range in even steps."""
    cut = weight.view(len(weight), -1, grid.block)
    low, high = cut.amin(2, keepdim=True).clamp(max=0), cut.amax(2, keepdim=True).clamp(min=0)
    if not grid.shifted:
        high = torch.maximum(high, -low)
        low = -high
    scale = (high - low) / (grid.highest - grid.lowest)
    middle = torch.round(grid.lowest - low / scale)
    return ((torch.round(cut / scale + middle).clamp(grid.lowest, grid.highest) - middle) * scale).flatten(1)


def loss(weight: torch.Tensor, found: torch.Tensor, product: torch.Tensor) -> float:
    return float(((found - weight) @ product * (found - weight)).sum())


@pytest.mark.parametrize("grid", GRIDS)
def test_settled_numbers_answer_better_than_rounded_ones(grid: Grid) -> None:
    torch.manual_seed(0)
    weight, product = torch.randn(48, 128) * 0.05, correlated(128)
    made = settle(weight, product, grid)
    assert made.numbers.min() >= grid.lowest
    assert made.numbers.max() <= grid.highest
    assert loss(weight, made.weight(), product) < 0.7 * loss(weight, rounded(weight, grid), product)


def test_a_quantizer_that_looks_at_the_largest_number_finds_the_same_grid() -> None:
    torch.manual_seed(1)
    weight = torch.randn(64, 96) * 0.03
    weight[5] = 0
    weight[6, 32:64] = 1e-7
    made = settle(weight, correlated(96), signed(4, 32))
    cut = made.weight().view(64, 3, 32)
    scale = cut.abs().amax(2) / 7
    assert torch.equal(scale, made.scales)
    assert torch.equal(scale, scale.to(torch.bfloat16).to(torch.float16).float())
    assert torch.equal(made.weight(), made.weight().half().float())
    again = torch.round(cut / torch.where(scale == 0, 1, scale)[..., None])
    assert torch.equal(again.to(torch.int8), made.numbers)
    assert not made.numbers[5].any()


def test_numbers_out_of_tables_answer_better_than_the_nearest() -> None:
    torch.manual_seed(2)
    weight, product = torch.randn(32, 96) * 0.05, correlated(96)
    tables = torch.stack([torch.linspace(-0.12, 0.12, 16), torch.linspace(-0.1, 0.14, 16)])
    made = assign(weight, tables, product)
    for rows, table in zip(made.split(16), tables, strict=True):
        assert torch.isin(rows, table).all()
    near = [
        table[(rows[..., None] - table).abs().argmin(-1)] for rows, table in zip(weight.split(16), tables, strict=True)
    ]
    assert loss(weight, made, product) < 0.8 * loss(weight, torch.cat(near), product)


def test_a_decoder_keeps_what_has_no_whole_blocks_and_what_was_not_asked() -> None:
    decoder = weights.load(guide().parent, 256)
    head, norm = decoder.head.weight.clone(), decoder.norm.weight.clone()
    windows = calibration.read(guide().parent, Options("int4"), 64)[:2]
    assert {len(each) for each in windows} == {64}
    shares: list[float] = []
    made = fit(decoder, windows, signed(4, 32), lambda heard: shares.append(heard.fraction), head=False)
    assert len(made) == 7 * len(decoder.layers)
    for name, blocks in made.items():
        assert torch.equal(decoder.get_parameter(name), blocks.weight())
    assert torch.equal(decoder.head.weight, head)
    assert torch.equal(decoder.norm.weight, norm)
    assert shares == sorted(shares)
    assert not fit(decoder, windows, signed(4, 10_000), silent, head=True)
