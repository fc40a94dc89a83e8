from __future__ import annotations

import numpy as np
import pytest

from penjing.shrink.ggml import decode, encode
from penjing.shrink.quantize.compensate import compensated
from penjing.shrink.quantize.fields import FORMS, Floats
from penjing.shrink.quantize.importance import BLOCK, Columns
from rounded_rows import columns_of


def loss(rows: Floats, coded: np.ndarray, kind: str, columns: Columns) -> float:
    error = decode(coded, kind, rows.shape[1]) - rows
    assert columns.products is not None
    total = 0.0
    for block, product in enumerate(columns.products[0]):
        part = error[:, block * BLOCK : (block + 1) * BLOCK]
        total += float(np.sum((part @ product[: part.shape[1], : part.shape[1]]) * part))
    return total


@pytest.mark.parametrize(("kind", "width"), [*((kind, 256) for kind in FORMS), ("Q4_K", 768)])
def test_products_come_out_better(kind: str, width: int) -> None:
    rows = np.random.default_rng(1).normal(size=(12, width)).astype(np.float32)
    columns = columns_of(width, alike=0.7)
    plain, ours = encode(rows, kind, columns.means[0]), compensated(rows, kind, columns)
    assert ours.shape == plain.shape
    assert loss(rows, ours, kind, columns) < 0.6 * loss(rows, plain, kind, columns)


def test_rows_of_blocks_of_32() -> None:
    """288 columns: the last block of H holds 32."""
    rows = np.random.default_rng(1).normal(size=(6, 288)).astype(np.float32)
    columns = columns_of(288, alike=0.7)
    plain, ours = encode(rows, "Q4_0", columns.means[0]), compensated(rows, "Q4_0", columns)
    assert loss(rows, ours, "Q4_0", columns) < 0.6 * loss(rows, plain, "Q4_0", columns)


def test_more_sweeps_are_no_worse() -> None:
    rows = np.random.default_rng(2).normal(size=(6, 256)).astype(np.float32)
    columns = columns_of(256, alike=0.5)
    found = [loss(rows, compensated(rows, "Q3_K", columns, rounds=rounds), "Q3_K", columns) for rounds in (0, 1, 4)]
    assert found == sorted(found, reverse=True)
    assert found[2] < found[0]


def test_columns_that_were_never_used_and_rows_of_nothing() -> None:
    rows = np.zeros((3, 256), np.float32)
    rows[1] = 1.0
    columns = Columns(np.zeros((1, 256), np.float32), np.ones(1, np.float32), np.zeros((1, 1, 256, 256), np.float32))
    for kind in FORMS:
        back = decode(compensated(rows, kind, columns), kind, 256)
        assert np.isfinite(back).all()
        assert np.abs(back - rows).max() < 0.05, kind


def test_types_with_a_codebook_are_as_ggml_makes_them() -> None:
    rows = np.random.default_rng(3).normal(size=(2, 256)).astype(np.float32)
    columns = columns_of(256, alike=0.5)
    assert np.array_equal(compensated(rows, "IQ3_XXS", columns), encode(rows, "IQ3_XXS", columns.means[0]))
