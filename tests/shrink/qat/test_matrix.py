"""What a learning matrix computes with is what ggml reads out of the bytes it becomes."""

from __future__ import annotations

import numpy as np
import pytest

from penjing.shrink.ggml import decode, encode
from penjing.shrink.quantize.fields import FORMS

pytestmark = pytest.mark.extras
WIDTH = 512
BOOKS = ("IQ2_XXS", "IQ2_XS", "IQ3_XXS")


def rows() -> np.ndarray:
    return (np.random.default_rng(1).normal(size=(24, WIDTH)) * 0.05).astype(np.float32)


@pytest.mark.parametrize("kind", [*FORMS, *BOOKS])
def test_it_begins_as_the_file_and_stays_what_the_file_can_hold(kind: str) -> None:
    import torch

    from penjing.shrink.qat.matrix import matrix

    blocks = encode(rows(), kind, np.ones(WIDTH, np.float32))
    learned = matrix(kind, blocks, rows(), "cpu")
    assert learned is not None
    assert np.array_equal(learned.coded(), blocks)
    torch.manual_seed(0)
    with torch.no_grad():
        for values in learned.learned.values():
            values += torch.randn_like(values)
    moved = learned.coded()
    assert not np.array_equal(moved, blocks)
    assert np.allclose(decode(moved, kind, WIDTH), learned.weight().detach().numpy(), atol=1e-7)


@pytest.mark.parametrize("kind", ["Q4_K", "IQ4_XS", "Q4_0"])
def test_it_learns_rows_that_it_was_not_made_of(kind: str) -> None:
    import torch

    from penjing.shrink.qat.matrix import matrix

    wanted = torch.from_numpy(rows())
    learned = matrix(kind, encode(rows() * np.float32(0.8), kind), rows(), "cpu")
    assert learned is not None
    steps = torch.optim.AdamW(learned.learned.values(), 0.05, weight_decay=0.0)
    before = float((learned.weight() - wanted).square().sum().detach())
    for _ in range(60):
        steps.zero_grad()
        (learned.weight() - wanted).square().sum().backward()
        steps.step()
    assert float((learned.weight() - wanted).square().sum().detach()) < 0.6 * before


def test_types_without_codes_do_not_learn() -> None:
    from penjing.shrink.qat.matrix import matrix

    assert matrix("F16", encode(rows(), "F16"), rows(), "cpu") is None
