from __future__ import annotations

import gguf
import numpy as np
import pytest

from penjing.probe.ggml import row_bytes
from penjing.shrink import ggml

# Root mean square of the error over the numbers' own, for normally distributed ones; about twice what is seen.
ERRORS = {"Q8_0": 0.01, "Q6_K": 0.03, "Q5_1": 0.06, "Q5_0": 0.07, "Q5_K": 0.05, "Q4_K": 0.10, "F16": 1e-3, "BF16": 5e-3}


@pytest.mark.parametrize("kind", ERRORS)
def test_what_is_encoded_decodes_with_the_library(kind: str) -> None:
    rows = np.random.default_rng(0).normal(size=(6, 512)).astype(np.float32)
    coded = ggml.encode(rows, kind)
    assert coded.shape == (6, row_bytes(kind, 512))
    number = gguf.GGMLQuantizationType[kind]
    raw = coded.view(np.float16) if kind == "F16" else coded
    back = gguf.quants.dequantize(raw, number)
    assert np.sqrt(np.mean((back - rows) ** 2)) < ERRORS[kind]
    assert np.sqrt(np.mean((back - rows) ** 2)) > 0


def test_f32_is_kept() -> None:
    rows = np.random.default_rng(0).normal(size=(2, 3)).astype(np.float32)
    assert np.array_equal(ggml.encode(rows, "F32").view(np.float32), rows)


def test_bf16_there_and_back() -> None:
    values = np.array([0.0, 1.0, -2.5, 3.4e38, np.inf, -np.inf, 1e-40, 1.00390625], np.float32)
    back = ggml.from_bits(ggml.to_bf16(values), "BF16")
    assert np.allclose(back[:3], values[:3])
    assert np.isinf(back[4:6]).all()
    assert back[7] == 1.0  # halfway between two bfloat16: to even
    assert np.isnan(ggml.from_bits(ggml.to_bf16(np.array([np.nan], np.float32)), "BF16")).all()


def test_rows_that_do_not_fit() -> None:
    assert ggml.fits("Q4_K", 512)
    assert not ggml.fits("Q4_K", 288)
    assert ggml.fits("Q8_0", 288)
