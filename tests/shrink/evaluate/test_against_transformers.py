"""What llama.cpp computes of a checkpoint is what transformers computes of it: logits, divergence, perplexity."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from penjing.export.gguf.convert import convert
from penjing.shrink.evaluate.engine import Engine
from penjing.shrink.evaluate.measure import measure
from penjing.shrink.texts.known import builtin
from penjing.shrink.texts.windows import windows
from penjing.store.resolve import guide

pytestmark = [pytest.mark.extras, pytest.mark.filterwarnings("ignore")]  # of torch and transformers, not ours

NOISE = 0.05
"""Of each matrix's own spread."""
SAME_MODEL = 1e-6
"""KL between the engine and transformers on the same f32 weights, nats: the engine keeps its KV cache in f16."""
RELATIVE = 0.01
"""By how much the divergence of two models may differ between the two ways to compute it."""


class Transformers:
    """A model of transformers, as the engine predicts."""

    def __init__(self, model: Any) -> None:
        self.name, self.model = "transformers", model

    def logits(self, tokens: np.ndarray, wanted: np.ndarray) -> np.ndarray:
        import torch

        with torch.no_grad():
            found = self.model(torch.tensor(tokens[None].astype(np.int64))).logits
        return np.asarray(found[0].float().numpy()[wanted])


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any, Path, Any]:
    """The built-in model and one whose matrices were disturbed: each as an f32 GGUF and in transformers."""
    import torch
    from transformers import AutoModelForCausalLM

    torch.set_num_threads(1)
    folder, source = tmp_path_factory.mktemp("pair"), guide().parent
    parent, child = (AutoModelForCausalLM.from_pretrained(source, dtype=torch.float32).eval() for _ in range(2))
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for each in child.parameters():
            if each.ndim == 2:
                each.add_(torch.randn(each.shape, generator=generator) * each.std() * NOISE)
    child.save_pretrained(folder / "child")
    for name in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja"):
        shutil.copy(source / name, folder / "child")
    convert(source, folder / "parent.gguf", 32)
    convert(folder / "child", folder / "child.gguf", 32)
    return folder / "parent.gguf", parent, folder / "child.gguf", child


def test_both_ways_find_the_same_divergence(pair: tuple[Path, Any, Path, Any]) -> None:
    parent, their_parent, child, their_child = pair
    with Engine(child, threads=1) as ours, Engine(parent, threads=1) as theirs:
        text = windows(builtin("yardstick")[1], ours, context=256, most=4)
        text = dataclasses.replace(text, written=np.ones_like(text.written))
        engine = measure(ours, theirs, text)
        across = measure(ours, Transformers(their_child), text)
    torch = measure(Transformers(their_child), Transformers(their_parent), text)
    assert engine.kl is not None
    assert torch.kl is not None
    assert across.kl is not None
    assert across.same is not None
    assert across.kl.mean() < SAME_MODEL
    assert across.same.mean() > 0.995
    assert torch.kl.mean() > 1e-3
    assert engine.kl.mean() == pytest.approx(torch.kl.mean(), rel=RELATIVE)
    assert engine.nll.mean() == pytest.approx(torch.nll.mean(), rel=1e-4)
