from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from penjing.export.gguf import rope
from penjing.export.gguf.config import Config, load
from penjing.export.gguf.families import FAMILIES, KNOWN
from penjing.export.gguf.faults import OptionUnsupported, SettingMissing
from tiny_checkpoint import CONFIG, write_checkpoint

GEMMA = {"hidden_activation": "gelu_pytorch_tanh", "head_dim": 32, "sliding_window": 16, "num_hidden_layers": 6}
CAPS = {"attn_logit_softcapping": 50.0, "final_logit_softcapping": 30.0}


def config(**values: Any) -> Config:
    return Config(Path("model"), {**CONFIG, **values})


def test_old_and_new_spelling_of_the_same() -> None:
    old = config(rope_theta=500.0, rope_scaling={"type": "yarn", "factor": 4.0}, partial_rotary_factor=0.5).rope
    values = {"rope_type": "yarn", "factor": 4.0, "rope_theta": 500.0, "partial_rotary_factor": 0.5}
    assert config(rope_theta=None, rope_parameters=values).rope == old
    assert (old.theta, old.kind, old.partial) == (500.0, "yarn", 0.5)


def test_two_kinds_of_layers() -> None:
    new = config(
        rope_parameters={
            "full_attention": {"rope_type": "linear", "factor": 8.0, "rope_theta": 1e6},
            "sliding_attention": {"rope_type": "default", "rope_theta": 1e4},
        }
    ).rope
    old = config(rope_theta=1e6, rope_local_base_freq=1e4, rope_scaling={"rope_type": "linear", "factor": 8.0}).rope
    assert new == old
    assert new.local_theta == 1e4


def test_llama3_factors() -> None:
    values = {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0}
    found = rope.tensors(config(rope_parameters={**values, "original_max_position_embeddings": 32}))
    factors = found["rope_freqs.weight"]
    assert factors.shape == (8,)
    assert factors[0] == 1.0
    assert factors[-1] == 8.0
    assert (np.diff(factors) >= 0).all()


@pytest.mark.parametrize("name", ["hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size"])
@pytest.mark.parametrize("value", [None, 0, -1, "64", True, 1 << 40])
def test_counts_that_are_none(name: str, value: object) -> None:
    with pytest.raises(SettingMissing, match=name):
        KNOWN["LlamaForCausalLM"].keys(config(**{name: value}))


def test_nested_settings(tmp_path: Path) -> None:
    folder = write_checkpoint(
        tmp_path / "x", architectures=["Gemma3ForConditionalGeneration"], text_config={"head_dim": 7}
    )
    found = load(folder)
    assert found.architecture == "Gemma3ForConditionalGeneration"
    assert found.head == 7


def test_gemma3_has_transformers_defaults() -> None:
    family = KNOWN["Gemma3ForConditionalGeneration"]
    sparse = Config(
        Path("model"),
        {"hidden_size": 2560, "intermediate_size": 10240, "num_hidden_layers": 34, "sliding_window": 1024},
    )
    found = family.keys(family.settle(sparse))
    assert found["gemma3.attention.head_count"] == 8
    assert found["gemma3.attention.key_length"] == 256
    assert found["gemma3.rope.freq_base"] == 1e6
    assert found["gemma3.rope.freq_base_swa"] == 1e4
    assert found["gemma3.attention.sliding_window_pattern"] == 6


@pytest.mark.parametrize(
    ("architecture", "values"),
    [
        ("Qwen2ForCausalLM", {"use_sliding_window": True}),
        ("Gemma2ForCausalLM", {**GEMMA, **CAPS, "query_pre_attn_scalar": 99}),
        ("Gemma2ForCausalLM", {**GEMMA, "attn_logit_softcapping": None}),
        ("Gemma2ForCausalLM", {**GEMMA, **CAPS, "tie_word_embeddings": False}),
        ("Gemma3ForCausalLM", {**GEMMA, "attn_logit_softcapping": 50.0}),
        ("Gemma3ForCausalLM", {**GEMMA, "use_bidirectional_attention": True}),
        ("Gemma3ForCausalLM", {**GEMMA, "layer_types": ["full_attention", "sliding_attention"] * 3}),
        ("Phi3ForCausalLM", {"hidden_act": "gelu"}),
    ],
)
def test_what_llama_cpp_would_compute_otherwise_is_refused(architecture: str, values: dict[str, Any]) -> None:
    family = KNOWN[architecture]
    given = {"tie_word_embeddings": True, **values}
    with pytest.raises(OptionUnsupported) as caught:
        family.keys(family.settle(config(**given)))
    assert caught.value.message("zh") != caught.value.message("en")


@pytest.mark.parametrize(
    ("types", "period"), [(["sliding_attention", "full_attention"] * 3, 2), (["full_attention"] * 6, 0)]
)
def test_layer_types(types: list[str], period: int) -> None:
    family = KNOWN["Gemma3ForCausalLM"]
    found = family.keys(family.settle(config(**GEMMA, tie_word_embeddings=True, layer_types=types)))
    assert found.get("gemma3.attention.sliding_window_pattern", 0) == period


def test_every_architecture_has_one_family() -> None:
    assert len(KNOWN) == sum(len(family.architectures) for family in FAMILIES)
    import gguf

    assert {family.arch for family in FAMILIES} <= set(gguf.MODEL_ARCH_NAMES.values())
