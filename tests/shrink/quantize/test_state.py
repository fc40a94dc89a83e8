from __future__ import annotations

import numpy as np
import pytest

from penjing.shrink.ggml import decode, encode
from penjing.shrink.quantize.fields import FORMS
from rounded_rows import state_of

ROWS = np.random.default_rng(5).normal(size=(7, 256)).astype(np.float32)


@pytest.mark.parametrize("kind", FORMS)
def test_blocks_are_taken_apart_and_put_together(kind: str) -> None:
    state = state_of(kind, ROWS)
    coded = encode(ROWS, kind)
    assert np.array_equal(state.packed().reshape(coded.shape), coded)
    np.testing.assert_allclose(state.now.T, decode(coded, kind, 256), rtol=2e-6, atol=2e-6)


@pytest.mark.parametrize("kind", FORMS)
def test_a_column_gets_the_nearest_codes(kind: str) -> None:
    """All codes are tried in its place."""
    state = state_of(kind, ROWS)
    column, target = 77, np.linspace(-3, 3, len(ROWS), dtype=np.float32)
    state.settle(column, target)
    got = np.abs(state.now[column] - target)
    least = np.full(len(ROWS), np.inf, np.float32)
    for code in range(len(FORMS[kind].levels)):
        state.codes[column] = code
        state.spread()
        least = np.minimum(least, np.abs(state.now[column] - target))
    np.testing.assert_allclose(got, least, rtol=1e-4, atol=1e-5)


def test_the_error_and_its_gradient() -> None:
    state = state_of("Q2_K", ROWS)
    error = (state.now - state.wanted).astype(np.float64)
    product = state.product.astype(np.float64)
    np.testing.assert_allclose(state.gradient(), product @ error, rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(state.losses(), np.einsum("cn,cd,dn->n", error, product, error), rtol=1e-4)
