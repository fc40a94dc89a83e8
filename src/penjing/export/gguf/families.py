"""One class a family: what its config.json means to llama.cpp and how its tensors differ from transformers'.

Tensor names come from `gguf`'s own name maps. Two known differences are llama.cpp's and not ours: the windows of
Mistral 0.1 and Phi-3 are computed as full attention (the same within the window).

Does not know: files, tokenizers, types of numbers.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from penjing.export.gguf import rope
from penjing.export.gguf.config import Config
from penjing.shrink.container import Value

SILU = ("silu", "swish")
GELU = ("gelu_pytorch_tanh", "gelu_new")


class Family:
    """The common case. `architectures` are transformers' class names, `arch` is llama.cpp's name, `pre` the
    pre-tokenizer's name this family goes by where several names mean the same rule."""

    architectures: ClassVar[tuple[str, ...]] = ()
    arch: ClassVar[str] = ""
    pre: ClassVar[str] = ""
    activation: ClassVar[tuple[str, ...]] = SILU
    norm_shift: ClassVar[float] = 0.0
    head_is_embedding: ClassVar[bool] = False
    defaults: ClassVar[Mapping[str, object]] = {}  # transformers leaves a sub-config's defaults out of config.json

    def settle(self, config: Config) -> Config:
        """`config` with the family's defaults where it says nothing."""
        return Config(config.folder, {**self.defaults, **config.values})

    def keys(self, config: Config) -> dict[str, Value]:
        """llama.cpp's metadata for `config`. Raises SettingMissing, OptionUnsupported."""
        config.require("hidden_activation" if "hidden_activation" in config.values else "hidden_act", *self.activation)
        arch = self.arch
        return {
            f"{arch}.context_length": config.whole("max_position_embeddings", "max_sequence_length"),
            f"{arch}.embedding_length": config.width,
            f"{arch}.block_count": config.layers,
            f"{arch}.feed_forward_length": config.whole("intermediate_size"),
            f"{arch}.attention.head_count": config.heads,
            f"{arch}.attention.head_count_kv": config.kv_heads,
            f"{arch}.attention.key_length": config.head,
            f"{arch}.attention.value_length": config.head,
            f"{arch}.attention.layer_norm_rms_epsilon": config.real("rms_norm_eps"),
            f"{arch}.vocab_size": config.whole("vocab_size"),
            **rope.keys(config, arch),
        }

    def order(self, name: str, config: Config) -> NDArray[np.intp] | None:
        """Which row of the checkpoint's tensor `name` becomes which of llama.cpp's; None where they are the same."""
        return None

    def shift(self, name: str) -> float:
        """What is added to every number of `name`: Gemma's norms multiply by 1 + weight."""
        return self.norm_shift if name.endswith("norm.weight") else 0.0

    def computed(self, config: Config) -> Mapping[str, NDArray[np.float32]]:
        """Tensors that the checkpoint does not have, each [width] f32."""
        return rope.tensors(config)


class Llama(Family):
    """Llama 1 to 3, Mistral, Alpaca-style tunes, TinyLlama, SmolLM: llama.cpp rotates neighbours where transformers
    rotates halves, so the rows of q and k change places."""

    architectures: ClassVar[tuple[str, ...]] = ("LlamaForCausalLM", "LLaMAForCausalLM", "MistralForCausalLM")
    arch = "llama"
    defaults: ClassVar[Mapping[str, object]] = {"hidden_act": "silu", "rms_norm_eps": 1e-6}

    def order(self, name: str, config: Config) -> NDArray[np.intp] | None:
        heads = config.heads if ".q_proj." in name else config.kv_heads if ".k_proj." in name else 0
        if not heads:
            return None
        if config.head % 2:
            config.refuse("head_dim", config.head, "an even number")
        rows = np.arange(heads * config.head).reshape(heads, 2, config.head // 2)
        return rows.swapaxes(1, 2).reshape(-1)


class Qwen2(Family):
    """Qwen 2 and 2.5."""

    architectures = ("Qwen2ForCausalLM",)
    arch = "qwen2"
    pre = "qwen2"

    def keys(self, config: Config) -> dict[str, Value]:
        config.require("use_sliding_window", False, default=False)
        return super().keys(config)


class Qwen3(Qwen2):
    """Qwen 3, dense."""

    architectures = ("Qwen3ForCausalLM",)
    arch = "qwen3"


class Gemma2(Family):
    """Gemma 2: every second layer sees a window, logits are capped."""

    architectures: ClassVar[tuple[str, ...]] = ("Gemma2ForCausalLM",)
    arch = "gemma2"
    activation = GELU
    norm_shift = 1.0
    head_is_embedding = True
    defaults: ClassVar[Mapping[str, object]] = {"hidden_activation": "gelu_pytorch_tanh"}
    period: ClassVar[int] = 2
    widest: ClassVar[int] = 46  # layers of the 27B, the only size whose scale is width / heads

    def keys(self, config: Config) -> dict[str, Value]:
        found = super().keys(config)
        config.require("tie_word_embeddings", True, default=True)
        self._scale(config)
        for name in ("attn_logit_softcapping", "final_logit_softcapping"):
            if config.values.get(name) is not None:
                found[f"{self.arch}.{name}"] = config.real(name)
            elif self.arch == "gemma2":
                config.refuse(name, None, "a number")
        return found | self._window(config)

    def _scale(self, config: Config) -> None:
        """llama.cpp takes the attention's scale from the head's width (src/models/gemma2.cpp, gemma3.cpp)."""
        wanted = config.width // config.heads if config.layers == self.widest else config.head
        config.require("query_pre_attn_scalar", wanted, default=wanted)

    def _window(self, config: Config) -> dict[str, Value]:
        period = self._period(config)
        if not period:
            return {}
        return {
            f"{self.arch}.attention.sliding_window": config.whole("sliding_window"),
            f"{self.arch}.attention.sliding_window_pattern": period,
        }

    def _period(self, config: Config) -> int:
        """Every how many layers one sees everything; 0 where all do. Raises OptionUnsupported where it is uneven."""
        types = config.values.get("layer_types")
        if not isinstance(types, list):
            return config.whole("sliding_window_pattern", "_sliding_window_pattern", default=self.period)
        full = [layer for layer, kind in enumerate(types) if kind == "full_attention"]
        period = full[0] + 1 if full else len(types) + 1
        if full != list(range(period - 1, len(types), period)):
            config.refuse("layer_types", types, "a full layer at even distances")
        return 0 if period == 1 else period


class Gemma3(Gemma2):
    """Gemma 3, the text part: every sixth layer sees everything, with a rotary base of its own."""

    architectures: ClassVar[tuple[str, ...]] = ("Gemma3ForCausalLM", "Gemma3ForConditionalGeneration")
    arch = "gemma3"
    period = 6
    widest = 62
    defaults: ClassVar[Mapping[str, object]] = {  # transformers, Gemma3TextConfig
        "hidden_activation": "gelu_pytorch_tanh",
        "num_attention_heads": 8,
        "num_key_value_heads": 4,
        "head_dim": 256,
        "rms_norm_eps": 1e-6,
        "vocab_size": 262208,
        "max_position_embeddings": 131072,
        "rope_theta": 1_000_000.0,
        "rope_local_base_freq": 10_000.0,
        "sliding_window": 4096,
    }

    def keys(self, config: Config) -> dict[str, Value]:
        config.require("attn_logit_softcapping", None)
        config.require("use_bidirectional_attention", False, default=False)
        return super().keys(config)


class Phi3(Family):
    """Phi-3, Phi-3.5 mini, Phi-4 and Phi-4 mini: q, k, v in one tensor, gate and up in another, as llama.cpp has
    them too."""

    architectures = ("Phi3ForCausalLM",)
    arch = "phi3"

    def keys(self, config: Config) -> dict[str, Value]:
        found = super().keys(config)
        # llama.cpp tells Phi-4, which has no window, by a zero here
        found[f"{self.arch}.attention.sliding_window"] = config.whole("sliding_window", default=0)
        return found


class Glm4(Family):
    """GLM-4-0414: norms before and after, half of each head rotated, gate and up in one tensor."""

    architectures = ("Glm4ForCausalLM",)
    arch = "glm4"
    pre = "glm4"
    defaults: ClassVar[Mapping[str, object]] = {"partial_rotary_factor": 0.5}


class Glm(Glm4):
    """GLM-4-9B as of transformers 4.46, which llama.cpp calls chatglm."""

    architectures = ("GlmForCausalLM",)
    arch = "chatglm"
    pre = "chatglm-bpe"


FAMILIES: tuple[Family, ...] = (Llama(), Qwen2(), Qwen3(), Gemma2(), Gemma3(), Phi3(), Glm4(), Glm())
KNOWN: dict[str, Family] = {name: family for family in FAMILIES for name in family.architectures}
