"""Fewer bits change the guide's next word little: llama.cpp's own probabilities at 4 and 8 bits against 16."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from llama_engine import running
from penjing.store.resolve import resolve

# swig types of the engine's binding
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")
QUESTIONS = ["What is quantization?", "Which model fits into 8 GB?", "什么是量化？", "Hello!"]
LARGEST = {8: 1e-4, 4: 1e-2}  # Kullback-Leibler divergence in nats


def probabilities(path: Path) -> np.ndarray:
    """Log-probabilities [questions, vocabulary] of the answer's first token."""
    with running(path, 4096, 256) as engine:
        prompts = (f"<|im_start|>user\n{question}<|im_end|>\n<|im_start|>assistant\n" for question in QUESTIONS)
        return np.stack([engine.logprobs(engine.tokenize(prompt, special=True)) for prompt in prompts])


@pytest.mark.parametrize("bits", LARGEST)
def test_divergence(bits: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PENJING_HOME", str(tmp_path))
    whole = probabilities(resolve("guide", bits=16).path)
    fewer = probabilities(resolve("guide", bits=bits).path)
    divergence = np.nansum(np.exp(whole) * (whole - fewer), axis=1)
    print(bits, divergence)
    assert (divergence < LARGEST[bits]).all()
    assert not np.array_equal(whole, fewer)
