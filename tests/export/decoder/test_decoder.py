"""The decoder computes what transformers computes, whole, in pieces and one token at a time, in every family."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.extras
torch = pytest.importorskip("torch")  # the light environment has none
transformers = pytest.importorskip("transformers")

from tiny_checkpoints import SAMPLES, make  # noqa: E402

from penjing.export.decoder import weights  # noqa: E402  after what they need was found
from penjing.export.decoder.cache import Growing  # noqa: E402
from penjing.export.decoder.faults import DecoderOption, DecoderWeightUnknown, NoDecoder  # noqa: E402
from penjing.probe.faults import TensorMissing, TensorShape  # noqa: E402

LENGTH, PREFILL, SIZE = 60, 24, 64
MORE = {
    "mistral-window": replace(SAMPLES["mistral"], settings={"sliding_window": 16}),
    "phi-3-window": replace(SAMPLES["phi-3"], settings={**SAMPLES["phi-3"].settings, "sliding_window": 16}),
    "qwen-2-window": replace(
        SAMPLES["qwen-2"], settings={"use_sliding_window": True, "sliding_window": 16, "max_window_layers": 1}
    ),
}
EVERY = SAMPLES | MORE


def checkpoint(name: str, folder: Path) -> Path:
    """The sample without a tokenizer, which takes longer to make than the rest."""
    folder.mkdir()
    return make(replace(EVERY[name], tokenizer=lambda path: None), folder)


def original(folder: Path, ids: Any) -> Any:
    """What transformers computes: [n, vocabulary]."""
    model = transformers.AutoModelForCausalLM.from_pretrained(
        folder, dtype=torch.float32, attn_implementation="eager"
    ).eval()
    with torch.no_grad():
        return model(ids).logits[0]


def pieces(form: Any, ids: Any) -> Any:
    """Prefill, then one token at a time."""
    k, v = form.empty()
    found = []
    edges = [0, PREFILL, *range(PREFILL + 1, ids.shape[1] + 1)]
    with torch.no_grad():
        for first, last in pairwise(edges):
            logits, k, v = form(ids[:, first:last], torch.arange(first, last), k, v)
            found.append(logits[0])
    return torch.cat(found)


@pytest.mark.parametrize("name", EVERY)
def test_a_family_is_computed_as_transformers_does(name: str, tmp_path: Path) -> None:
    torch.set_num_threads(1)
    folder = checkpoint(name, tmp_path / "model")
    length = 100 if name == "phi-3-long-long" else LENGTH  # beyond what it was trained for
    ids = torch.randint(0, 600, (1, length), generator=torch.Generator().manual_seed(1))
    wanted = original(folder, ids)
    decoder = weights.load(folder, length)
    error = float((pieces(Growing(decoder), ids) - wanted).abs().max())
    print(f"{name}: max abs error {error:.1e} of {float(wanted.std()):.1f}")
    assert error < 1e-5


def test_tables_of_rotations_change_nothing(tmp_path: Path) -> None:
    folder = checkpoint("gemma-3", tmp_path / "model")
    ids = torch.arange(LENGTH)[None]
    plain, tables = (pieces(Growing(weights.load(folder, SIZE, rows=rows)), ids) for rows in (0, SIZE))
    assert torch.equal(plain, tables)


def test_a_traced_decoder_takes_any_length(tmp_path: Path) -> None:
    folder = checkpoint("gemma-2", tmp_path / "model")
    form = Growing(weights.load(folder)).eval()
    n, past = torch.export.Dim("n", min=1, max=255), torch.export.Dim("past", min=0, max=255)
    layers = form.decoder.shape.layers
    shapes = {"ids": {1: n}, "positions": {0: n}, "k": [{2: past}] * layers, "v": [{2: past}] * layers}
    example = (torch.zeros(1, 5, dtype=torch.int64), torch.arange(3, 8), *form.empty(3))
    with torch.no_grad():
        traced = torch.export.export(form, example, dynamic_shapes=shapes, strict=False).module()
    traced.empty = form.empty
    ids = torch.arange(LENGTH)[None]
    assert torch.allclose(pieces(traced, ids), pieces(form, ids), atol=1e-5)


def changed(folder: Path, **values: Any) -> Path:
    page = folder / "config.json"
    page.write_text(json.dumps(json.loads(page.read_text()) | values))
    return folder


def test_what_is_not_computed_is_refused(tmp_path: Path) -> None:
    folder = checkpoint("llama-3", tmp_path / "model")
    with pytest.raises(NoDecoder) as refused:
        weights.load(changed(folder, architectures=["Qwen3MoeForCausalLM"]))
    assert "Qwen3ForCausalLM" in str(refused.value)
    with pytest.raises(DecoderOption, match="gelu"):
        weights.load(changed(folder, architectures=["LlamaForCausalLM"], hidden_act="gelu"))
    with pytest.raises(DecoderOption, match="dynamic"):
        weights.load(changed(folder, hidden_act="silu", rope_parameters={"rope_type": "dynamic", "rope_theta": 1e4}))


def test_weights_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    folder = checkpoint("llama-2", tmp_path / "model")
    with pytest.raises(TensorShape, match="mlp"):
        weights.load(changed(folder, intermediate_size=64))
    with pytest.raises(TensorMissing, match=r"layers\.2"):
        weights.load(changed(folder, intermediate_size=128, num_hidden_layers=3))
    with pytest.raises(DecoderWeightUnknown):
        weights.load(changed(folder, num_hidden_layers=1))
