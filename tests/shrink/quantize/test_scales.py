from __future__ import annotations

import numpy as np
import pytest

from penjing.shrink.quantize.fields import FORMS
from penjing.shrink.quantize.scales import rescale
from rounded_rows import state_of

ROWS = np.random.default_rng(6).normal(size=(9, 256)).astype(np.float32)


@pytest.mark.parametrize("kind", FORMS)
def test_no_row_is_worse_and_the_gradient_is_that_of_the_new_scales(kind: str) -> None:
    state = state_of(kind, ROWS)
    before = state.losses()
    gradient = rescale(state)
    after = state.losses()
    assert (after <= before * 1.001).all()
    assert after.sum() < before.sum()
    wanted = state.gradient()
    np.testing.assert_allclose(gradient, wanted, atol=1e-3 * float(np.abs(wanted).max()))


@pytest.mark.parametrize("kind", FORMS)
def test_what_was_moved_can_be_written(kind: str) -> None:
    """Scales stay within what their bits hold: taken apart again they are the same."""
    state = state_of(kind, ROWS)
    rescale(state)
    packed, form = state.packed(), FORMS[kind]
    again = form.unpack(packed.reshape(-1, packed.shape[2]))
    assert np.array_equal(again.d.reshape(len(ROWS), -1).T, state.d)
    assert np.array_equal(again.scales.reshape(len(ROWS), -1).T, state.scales)
    assert np.array_equal(again.minima.reshape(len(ROWS), -1).T, state.minima)


def test_numbers_beyond_f16_leave_a_block_as_it_was() -> None:
    """Of 32 numbers all but one are nothing: the best scale may be anything there, and is kept finite."""
    rows = np.zeros((2, 256), np.float32)
    rows[0, ::32] = 60000.0
    for kind in FORMS:
        state = state_of(kind, rows)
        rescale(state)
        assert np.isfinite(state.now).all(), kind
        assert np.isfinite(state.d).all(), kind
