"""Rotary position embedding in GGUF's terms: metadata keys and factor tensors.

Does not know: families.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from penjing.export.gguf.config import Config, number
from penjing.shrink.container import Value

KINDS = ("default", "linear", "yarn", "llama3", "longrope")


def keys(config: Config, arch: str) -> dict[str, Value]:
    """`{arch}.rope.*` as llama.cpp reads them (src/llama-arch.cpp, LLM_KV_ROPE_*). Raises OptionUnsupported."""
    rope = config.rope
    if rope.kind not in KINDS:
        config.refuse("rope_type", rope.kind, " / ".join(KINDS))
    found: dict[str, Value] = {
        f"{arch}.rope.freq_base": rope.theta,
        f"{arch}.rope.dimension_count": int(config.head * rope.partial),
    }
    if rope.local_theta:
        found[f"{arch}.rope.freq_base_swa"] = rope.local_theta
    if rope.kind in ("linear", "yarn", "longrope"):
        found[f"{arch}.rope.scaling.type"] = rope.kind
    if rope.kind in ("linear", "yarn"):
        found[f"{arch}.rope.scaling.factor"] = _number(config, rope.values, "factor")
    if rope.kind == "yarn":
        found |= _yarn(config, arch)
    if rope.kind == "longrope":
        original = _original(config)
        found[f"{arch}.rope.scaling.original_context_length"] = original
        found[f"{arch}.rope.scaling.attn_factor"] = _longrope_scale(config, original)
    return found


def _yarn(config: Config, arch: str) -> dict[str, Value]:
    values = config.rope.values
    for option in ("mscale", "mscale_all_dim", "truncate"):
        if values.get(option) not in (None, 0, True):
            config.refuse(f"rope {option}", values[option], "none")
    found: dict[str, Value] = {f"{arch}.rope.scaling.original_context_length": _original(config)}
    if values.get("attention_factor") is not None:
        # transformers' factor is the whole one; llama.cpp multiplies its own 1 + 0.1 ln(factor) by this key.
        whole = _number(config, values, "attention_factor")
        found[f"{arch}.rope.scaling.attn_factor"] = whole / _yarn_scale(_number(config, values, "factor"))
    for name in ("beta_fast", "beta_slow"):
        if values.get(name) is not None:
            found[f"{arch}.rope.scaling.yarn_{name}"] = _number(config, values, name)
    return found


def _yarn_scale(factor: float) -> float:
    return 1.0 if factor <= 1 else 1.0 + 0.1 * math.log(factor)


def _number(config: Config, values: Mapping[str, object], name: str) -> float:
    value = number(values.get(name))
    if value is None or not value > 0:
        config.refuse(f"rope {name}", values.get(name), "a number above 0")
    return value


def _original(config: Config) -> int:
    """Tokens of the training before the stretch; transformers takes the model's context where it is not said."""
    said = config.rope.values.get("original_max_position_embeddings")
    if isinstance(said, int) and 0 < said < 1 << 32:
        return said
    return config.whole("original_max_position_embeddings", "max_position_embeddings")


def _longrope_scale(config: Config, original: int) -> float:
    """Attention's scale (transformers, modeling_rope_utils.py, `_compute_longrope_parameters`)."""
    values = config.rope.values
    if values.get("attention_factor") is not None:
        return _number(config, values, "attention_factor")
    said = values.get("factor")
    factor = float(said) if isinstance(said, (int, float)) else config.whole("max_position_embeddings") / original
    return 1.0 if factor <= 1 else math.sqrt(1 + math.log(factor) / math.log(original))


def tensors(config: Config) -> dict[str, NDArray[np.float32]]:
    """The factor tensors, each [rotated / 2] f32; most models have none."""
    rope = config.rope
    if rope.kind == "llama3":
        return {"rope_freqs.weight": _llama3(config)}
    if rope.kind == "longrope":
        half = int(config.head * rope.partial) // 2
        return {f"rope_factors_{name}.weight": _factors(config, f"{name}_factor", half) for name in ("long", "short")}
    return {}


def _factors(config: Config, name: str, count: int) -> NDArray[np.float32]:
    values = config.rope.values.get(name)
    if not isinstance(values, list) or len(values) != count or not all(isinstance(v, (int, float)) for v in values):
        config.refuse(f"rope {name}", values, f"[{count}]")
    return np.array(values, np.float32)


def _llama3(config: Config) -> NDArray[np.float32]:
    """How much slower each pair turns (transformers, modeling_rope_utils.py, `_compute_llama3_parameters`): long waves
    by `factor`, short ones not at all, a ramp between."""
    values = config.rope.values
    factor, low, high = (_number(config, values, name) for name in ("factor", "low_freq_factor", "high_freq_factor"))
    original = _original(config)
    size = int(config.head * config.rope.partial)
    frequencies = 1.0 / config.rope.theta ** (np.arange(0, size, 2, dtype=np.float64) / size)
    waves = 2 * math.pi / frequencies
    smooth = (original / waves - low) / (high - low)
    ramp = 1 / ((1 - smooth) / factor + smooth)
    slower = np.where(waves < original / high, 1.0, np.where(waves > original / low, factor, ramp))
    return slower.astype(np.float32)
