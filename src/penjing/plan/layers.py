"""What each layer of a model remembers of a conversation: every token, a window of them, one compressed row, a state.

Keys are llama.cpp's (`LLM_KV_*`, llama-arch.cpp) with transformers' spelling after them. What a header does not say is
filled in from the architecture; where that is a guess, `assumptions` says so.

Does not know: numbers of tokens, number types, engines.
"""

from __future__ import annotations

from dataclasses import dataclass

from penjing.probe.facts import Model, count

FULL_EVERY = {"gemma2": 2, "gemma3": 6, "gemma3n": 5, "cohere2": 4, "gpt-oss": 2, "olmo2": 4, "exaone4": 4}
"""Architectures with sliding-window layers: one layer in so many sees everything (llama.cpp `set_swa_pattern`).
Others ignore a window in their header, as llama.cpp does."""
SPELLINGS = {"gemma3_text": "gemma3", "gpt_oss": "gpt-oss", "gemma3n_text": "gemma3n"}
"""transformers' `model_type` where it is not llama.cpp's name."""
F32 = 4
WITHOUT_ATTENTION = ("mamba", "mamba2", "rwkv6", "rwkv7", "rwkv6qwen2", "arwkv7")
"""Architectures that keep a state and no tokens at all."""
MIXED = (
    "jamba",
    "falcon-h1",
    "granitehybrid",
    "nemotron_h",
    "lfm2",
    "lfm2moe",
    "plamo2",
    "qwen3next",
    "qwen35",
    "kimi-linear",
)
"""Architectures of which some layers keep a state."""
RECURRENT = "the state of recurrent layers is assumed from their header"
HYBRID = "which layers are recurrent is assumed: the header does not say"


@dataclass(frozen=True)
class Layer:
    """`keys` and `values` are numbers that one token leaves behind, `window` in tokens (0: all of them are kept),
    `state` bytes of a conversation whatever its length."""

    keys: int
    values: int
    window: int = 0
    state: int = 0


def layers(model: Model) -> dict[Layer, int]:
    """The kinds of layers and how many there are of each."""
    found: dict[Layer, int] = {}
    for layer in each(model):
        found[layer] = found.get(layer, 0) + 1
    return found


def each(model: Model) -> list[Layer]:
    """All layers in their order."""
    heads = per_layer(model, "attention.head_count_kv", model.kv_heads)
    states, windows = recurrent(model), sliding(model)
    return [
        Layer(0, 0, state=state(model))
        if states[index]
        else remembered(model, heads[index], model.sliding_window if windows[index] else 0)
        for index in range(model.layers)
    ]


def remembered(model: Model, heads: int, window: int) -> Layer:
    """A layer of attention. Compressed keys and values (MLA) are one row, of which the values are a part."""
    rank, rope = (
        fact(model, "attention.kv_lora_rank", "kv_lora_rank"),
        fact(model, "rope.dimension_count", "qk_rope_head_dim"),
    )
    if rank and (model.format != "gguf" or fact(model, "attention.key_length_mla")):
        return Layer(rank + rope, 0, window)
    keys, values = model.key_length, model.value_length
    if window:
        keys = fact(model, "attention.key_length_swa") or keys
        values = fact(model, "attention.value_length_swa") or values
    return Layer(heads * keys, heads * values, window)


def sliding(model: Model) -> list[bool]:
    """Whether each layer keeps a window only."""
    pattern = model.metadata.get(
        f"{model.architecture}.attention.sliding_window_pattern", model.metadata.get("layer_types")
    )
    if not model.sliding_window:
        return [False] * model.layers
    if isinstance(pattern, tuple) and len(pattern) >= model.layers:
        return [each is True or each == 1 or each == "sliding_attention" for each in pattern[: model.layers]]
    every = FULL_EVERY.get(known_as(model), 0)
    return [bool(every) and (index + 1) % every != 0 for index in range(model.layers)]


def recurrent(model: Model) -> list[bool]:
    """Whether each layer keeps a state in place of tokens."""
    name, types = known_as(model), model.metadata.get("layer_types")
    if name in WITHOUT_ATTENTION:
        return [True] * model.layers
    if isinstance(types, tuple) and len(types) >= model.layers:
        return [str(each) in ("linear_attention", "mamba", "conv", "recurrent") for each in types[: model.layers]]
    if name not in MIXED:
        return [False] * model.layers
    heads = model.metadata.get(f"{model.architecture}.attention.head_count_kv")
    if isinstance(heads, tuple) and len(heads) >= model.layers:
        return [each == 0 for each in heads[: model.layers]]
    every = fact(model, "full_attention_interval", "full_attention_interval") or 4
    return [(index + 1) % every != 0 for index in range(model.layers)]


def state(model: Model) -> int:
    """Bytes of one recurrent layer's state, in f32 (llama.cpp `llama_hparams::n_embd_r`, `n_embd_s`)."""
    head = fact(model, "wkv.head_size")
    if head:
        return (2 * model.embedding + model.embedding * head) * F32
    cache = fact(model, "shortconv.l_cache", "conv_L_cache")
    if cache:
        return model.embedding * (cache - 1) * F32
    kernel = fact(model, "ssm.conv_kernel", "linear_conv_kernel_dim", "mamba_d_conv") or 4
    inner = fact(model, "ssm.inner_size", "mamba_d_ssm") or 2 * model.embedding
    width = fact(model, "ssm.state_size", "linear_key_head_dim", "mamba_d_state") or 128
    groups = fact(model, "ssm.group_count", "mamba_n_groups")
    return ((kernel - 1) * (inner + 2 * groups * width) + width * inner) * F32


def assumptions(model: Model) -> tuple[str, ...]:
    """What had to be assumed about the layers; templates for `penjing.language.say`."""
    if not any(recurrent(model)):
        return ()
    heads = model.metadata.get(f"{model.architecture}.attention.head_count_kv")
    told = known_as(model) in WITHOUT_ATTENTION or isinstance(heads, tuple) or "layer_types" in model.metadata
    return (RECURRENT,) if told else (RECURRENT, HYBRID)


def known_as(model: Model) -> str:
    """llama.cpp's name of the architecture."""
    return SPELLINGS.get(model.architecture, model.architecture)


def fact(model: Model, key: str, *spellings: str) -> int:
    """The count that a GGUF's header has under `ARCHITECTURE.key`, or a config under one of `spellings`; else 0."""
    return count(model.metadata, f"{model.architecture}.{key}", *spellings)


def per_layer(model: Model, key: str, usual: int) -> list[int]:
    """A count that a header may give for each layer."""
    value = model.metadata.get(f"{model.architecture}.{key}")
    if isinstance(value, tuple) and len(value) >= model.layers:
        return [each if isinstance(each, int) else usual for each in value[: model.layers]]
    return [usual] * model.layers
