"""Blocks taken apart and put together, beside ggml's own reading of them."""

from __future__ import annotations

import numpy as np
import pytest

from penjing.probe.ggml import NUMBERS, TYPES
from penjing.shrink.ggml import decode, encode
from penjing.shrink.quantize.fields import FORMS, values


@pytest.mark.parametrize("kind", FORMS)
def test_apart_and_together(kind: str) -> None:
    draw = np.random.default_rng(0)
    rows = (draw.normal(size=(16, 512)) * np.exp(draw.normal(size=(16, 512)))).astype(np.float32)
    coded = encode(rows, kind)
    blocks = coded.reshape(-1, TYPES[NUMBERS[kind]][2])
    form = FORMS[kind]
    fields = form.unpack(blocks)
    assert np.array_equal(values(form, fields).reshape(rows.shape), decode(coded, kind, 512))
    assert np.array_equal(form.pack(fields), blocks)
    assert fields.scales.min() >= form.scales[0]
    assert fields.scales.max() <= form.scales[1]
