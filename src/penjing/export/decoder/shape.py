"""What a checkpoint's config.json says about the computation, for all families in the same words.

A family is one line of KINDS: what its configuration does not say because its code does (transformers 5, the file
`modeling_*.py` of each).

Does not know: torch, weights.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from penjing.export.decoder.faults import DecoderOption, NoDecoder
from penjing.export.gguf import config as settings
from penjing.export.gguf.config import Config, Rope
from penjing.export.gguf.families import GELU, SILU
from penjing.export.gguf.families import KNOWN as SETTLED

Activation = Literal["silu", "gelu"]

PLAIN = {
    "self_attn.q_proj": "attention.q",
    "self_attn.k_proj": "attention.k",
    "self_attn.v_proj": "attention.v",
    "self_attn.qkv_proj": "attention.qkv",
    "self_attn.o_proj": "attention.o",
    "self_attn.q_norm": "attention.q_norm",
    "self_attn.k_norm": "attention.k_norm",
    "mlp.gate_proj": "mlp.gate",
    "mlp.up_proj": "mlp.up",
    "mlp.gate_up_proj": "mlp.gate_up",
    "mlp.down_proj": "mlp.down",
    "input_layernorm": "before_attention",
    "post_attention_layernorm": "before_mlp",
}
"""A layer's tensors: transformers' names to the decoder's."""
GEMMA = PLAIN | {
    "post_attention_layernorm": "after_attention",
    "pre_feedforward_layernorm": "before_mlp",
    "post_feedforward_layernorm": "after_mlp",
}
GLM4 = PLAIN | {"post_self_attn_layernorm": "after_attention", "post_mlp_layernorm": "after_mlp"}


@dataclass(frozen=True)
class Kind:
    """One family. `shift` is added to the weights of its norms; `paired`: it rotates neighbours instead of halves;
    `scaled`: embeddings are multiplied by the root of the width; `period`: every how many layers one sees everything
    (0: what `window` says); `window`: which layers have one where the configuration has a size for it."""

    names: Mapping[str, str] = field(default_factory=lambda: PLAIN)
    activation: Activation = "silu"
    shift: float = 0.0
    paired: bool = False
    scaled: bool = False
    period: int = 0
    window: Literal["none", "all", "asked"] = "none"


KINDS: dict[str, Kind] = {
    "LlamaForCausalLM": Kind(),
    "MistralForCausalLM": Kind(window="all"),
    "Qwen2ForCausalLM": Kind(window="asked"),
    "Qwen3ForCausalLM": Kind(window="asked"),
    "Gemma2ForCausalLM": Kind(GEMMA, "gelu", 1.0, scaled=True, period=2),
    "Gemma3ForCausalLM": Kind(GEMMA, "gelu", 1.0, scaled=True, period=6),
    "Gemma3ForConditionalGeneration": Kind(GEMMA, "gelu", 1.0, scaled=True, period=6),
    "Phi3ForCausalLM": Kind(window="all"),
    "Glm4ForCausalLM": Kind(GLM4, paired=True),
    "GlmForCausalLM": Kind(paired=True),
}


@dataclass(frozen=True)
class Shape:
    """A decoder in numbers. `head` is the width of one head, `inner` that of the feed-forward part; `scale` multiplies
    attention's scores; caps are 0 where there are none; `sliding[i]` says whether layer i sees only the last `window`
    tokens. `context` is the longest the model takes, in tokens, `original` what it was trained for before its rotation
    was stretched."""

    architecture: str
    kind: Kind
    layers: int
    width: int
    heads: int
    kv_heads: int
    head: int
    inner: int
    context: int
    original: int
    eps: float
    scale: float
    rope: Rope
    attention_cap: float = 0.0
    logit_cap: float = 0.0
    window: int = 0
    sliding: tuple[bool, ...] = ()

    @property
    def embedding_scale(self) -> float:
        """What embeddings are multiplied by."""
        return float(self.width**0.5) if self.kind.scaled else 1.0

    @property
    def rotated(self) -> int:
        """How many numbers of a head are rotated."""
        return int(self.head * self.rope.partial)


def read(folder: Path) -> tuple[Shape, Config]:
    """The shape of the checkpoint in `folder`, and its settings. Raises NoDecoder, DecoderOption, ModelCorrupt."""
    config = settings.load(folder)
    kind = KINDS.get(config.architecture)
    if kind is None:
        near = difflib.get_close_matches(config.architecture, KINDS, 2, 0.4) or list(KINDS)[:2]
        facts = {"architecture": config.architecture, "nearest": ", ".join(near), "known": ", ".join(KINDS)}
        raise NoDecoder(path=str(folder), **facts)
    config = SETTLED[config.architecture].settle(config)
    _require_computable(config, kind)
    sliding = _sliding(config, kind)
    scalar = config.real("query_pre_attn_scalar", default=float(config.head))
    shape = Shape(
        architecture=config.architecture,
        kind=kind,
        layers=config.layers,
        width=config.width,
        heads=config.heads,
        kv_heads=config.kv_heads,
        head=config.head,
        inner=config.whole("intermediate_size"),
        context=config.whole("max_position_embeddings"),
        original=_original(config),
        eps=config.real("rms_norm_eps"),
        scale=scalar**-0.5,
        rope=config.rope,
        attention_cap=_cap(config, "attn_logit_softcapping"),
        logit_cap=_cap(config, "final_logit_softcapping"),
        window=config.whole("sliding_window") if any(sliding) else 0,
        sliding=sliding,
    )
    if shape.heads % shape.kv_heads or shape.rotated % 2:
        raise DecoderOption(path=str(folder), option="head_dim", value=config.head, wanted="even heads in whole groups")
    return shape, config


def _original(config: Config) -> int:
    said = config.rope.values.get("original_max_position_embeddings")
    if isinstance(said, int) and said > 0:
        return said
    return config.whole("original_max_position_embeddings", "max_position_embeddings")


def _cap(config: Config, name: str) -> float:
    return config.real(name) if config.values.get(name) is not None else 0.0


def _require_computable(config: Config, kind: Kind) -> None:
    """Raises DecoderOption for what changes the computation and is not done here."""
    name = "hidden_activation" if config.values.get("hidden_activation") is not None else "hidden_act"
    _one_of(config, name, SILU if kind.activation == "silu" else GELU)
    _one_of(config, "use_bidirectional_attention", (None, False))
    _one_of(config, "quantization_config", (None,))


def _one_of(config: Config, option: str, wanted: tuple[object, ...]) -> None:
    value = config.values.get(option)
    if value not in wanted:
        words = " / ".join(str(each) for each in wanted)
        raise DecoderOption(path=str(config.folder), option=option, value=value, wanted=words)


def _sliding(config: Config, kind: Kind) -> tuple[bool, ...]:
    """Which layers see a window only; newer configurations say it for each, older ones by rules."""
    size, layers = config.values.get("sliding_window"), config.layers
    asked = kind.window != "asked" or bool(config.values.get("use_sliding_window"))
    if not isinstance(size, int) or size < 1 or not asked:
        return (False,) * layers
    said = config.values.get("layer_types")
    if isinstance(said, list) and len(said) == layers:
        return tuple(each == "sliding_attention" for each in said)
    if kind.period:
        period = config.whole("sliding_window_pattern", "_sliding_window_pattern", default=kind.period)
        return tuple(bool((layer + 1) % period) for layer in range(layers))
    if kind.window == "asked":
        first = config.whole("max_window_layers", default=layers)
        return tuple(layer >= first for layer in range(layers))
    return (kind.window == "all",) * layers
