"""Layers that were never traced compute as their own weights say."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

pytestmark = [pytest.mark.exports, pytest.mark.filterwarnings("ignore")]  # of torch and onnx, not ours
torch = pytest.importorskip("torch")
onnxruntime = pytest.importorskip("onnxruntime")

from tiny_checkpoints import SAMPLES, make  # noqa: E402

from penjing.export.decoder import weights  # noqa: E402
from penjing.export.decoder.cache import Growing  # noqa: E402
from penjing.export.decoder.model import Decoder, Norm  # noqa: E402
from penjing.export.onnx import names  # noqa: E402
from penjing.export.onnx.graph import build  # noqa: E402
from penjing.export.onnx.stamp import sample  # noqa: E402


@pytest.fixture(params=["llama-2", "gemma-2", "qwen-2"])
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    torch.set_num_threads(1)
    given = SAMPLES[request.param]
    return make(replace(given, settings=given.settings | {"num_hidden_layers": 6}), tmp_path / request.param)


def loaded(folder: Path) -> Decoder:
    """With norms that are all one, as untrained ones are."""
    decoder = weights.load(folder)
    for each in decoder.modules():
        if isinstance(each, Norm):
            each.weight.data = torch.ones_like(each.weight)
    return decoder


def test_one_of_each_kind_is_traced(folder: Path) -> None:
    chosen = sample(loaded(folder))
    alike = (0, 1, 2, 1, 2, 1) if folder.name == "gemma-2" else (0, 1, 1, 1, 1, 1)
    assert chosen.like == alike
    assert chosen.traced == tuple(sorted(set(alike)))


def test_all_layers_compute(folder: Path) -> None:
    decoder = loaded(folder)
    layers, width = decoder.shape.layers, (1, decoder.shape.kv_heads, 0, decoder.shape.head)
    ids = torch.arange(20, 44)[None]
    with torch.no_grad():
        form = Growing(decoder)
        logits, keys, values = form(ids, torch.arange(24), *form.empty())
    graph = build(loaded(folder))
    session = onnxruntime.InferenceSession(graph.SerializeToString(), providers=["CPUExecutionProvider"])
    cached = names.caches(range(layers))
    assert [each.name for each in session.get_inputs()] == [names.IDS, names.POSITIONS, *(one for one, _ in cached)]
    assert [each.name for each in session.get_outputs()] == [names.LOGITS, *(one for _, one in cached)]
    cache, found = {given: np.zeros(width, np.float32) for given, _ in cached}, []
    for first, last in ((0, 23), (23, 24)):
        read = {names.IDS: ids[:, first:last].numpy(), names.POSITIONS: np.arange(first, last)[None]}
        made = session.run(None, {**read, **cache})
        found.append(made[0][0])
        cache = dict(zip(cache, made[1:], strict=True))
    assert np.abs(np.concatenate(found) - logits[0].numpy()).max() < 1e-3
    for mine, theirs in zip(cache.values(), [*keys, *values], strict=True):
        assert np.abs(mine - theirs.numpy()).max() < 1e-4
