"""What matrices read, before and now; what makes good the errors of layers before."""

from __future__ import annotations

import pytest

pytestmark = pytest.mark.exports
torch = pytest.importorskip("torch")

from penjing.export import calibration  # noqa: E402
from penjing.export.activations import Products, walk  # noqa: E402
from penjing.export.decoder import weights  # noqa: E402
from penjing.export.target import Options  # noqa: E402
from penjing.progress import silent  # noqa: E402
from penjing.store.resolve import guide  # noqa: E402


def test_a_matrix_answers_spoilt_activations_more_like_the_original() -> None:
    torch.manual_seed(0)
    weight, first = torch.randn(24, 32), torch.randn(512, 32) @ torch.randn(32, 32)
    spoilt = first @ (torch.eye(32) + 0.05 * torch.randn(32, 32))
    products = Products.of(32)
    for part in range(0, 512, 128):
        products.add(first[part : part + 128], spoilt[part : part + 128])
    wanted = first @ weight.T
    before, after = ((spoilt @ each.T - wanted).square().mean() for each in (weight, products.aim(weight)))
    assert after < 0.4 * before  # half of an error that can be made good is a quarter of its square


def test_a_matrix_whose_activations_are_the_original_ones_stays() -> None:
    torch.manual_seed(1)
    weight, values = torch.randn(8, 16), torch.randn(64, 16)
    products = Products.of(16)
    products.add(values, values)
    assert torch.equal(products.aim(weight), weight)
    assert torch.equal(Products.of(16).aim(weight), weight)  # of no text


def test_layers_come_with_what_the_changed_ones_before_give() -> None:
    decoder = weights.load(guide().parent, 256)
    windows = calibration.read(guide().parent, Options("int4"), 64)[:2]
    same = []

    def put(layer: torch.nn.Module, products: dict[str, Products]) -> None:
        same.append(all(torch.equal(each.now, each.crossed) for each in products.values()))
        assert products["attention.k"] is products["attention.q"]
        if layer.index == 1:
            layer.mlp.down.weight.mul_(0.5)

    last = walk(decoder, windows, 32, put, silent)
    assert same == [index <= 1 for index in range(len(decoder.layers))]
    assert all(not torch.equal(first, now) for first, now in last)
