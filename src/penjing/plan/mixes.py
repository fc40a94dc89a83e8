"""Which type each tensor gets in a quantization: llama.cpp's mixtures, and what a model would be in one of them.

Rules: llama.cpp src/llama-quant.cpp `llama_tensor_get_type`, without those for models of eight experts and of 70 B.
For Llama 3 8B the files are within 0.4 % of the published ones. Mixtures of types below three bits are not known by
tensor: their size is the published bits a weight.

Does not know: numbers; how good a mixture is (`quality`).
"""

from __future__ import annotations

import dataclasses
import re

from penjing.plan.quality import DECORATION, known
from penjing.probe.facts import Model
from penjing.probe.ggml import NUMBERS, TYPES, row_bytes
from penjing.probe.tensor import Tensor

USUAL = ("Q2_K", "Q3_K_M", "IQ4_XS", "Q4_0", "Q4_K_S", "Q4_K_M", "Q5_K_M", "Q6_K", "Q8_0", "F16")
"""Quantizations that people publish of most models."""
UNKNOWN_MIXTURES = ("IQ1", "IQ2", "IQ3", "Q2_K_S")
WHOLE = {"embedding": "token_embd.weight", "output": "output.weight"}
VISION = re.compile(r"^(model\.)?(visual|vision_tower|vision_model|multi_modal_projector|audio_tower)\b")
EXPERT = re.compile(r"\.(?P<layer>\d+)\..*\bexperts\.(?:(?P<number>\d+)\.)?(?P<what>gate|up|down|gate_up)_proj")
KEPT = re.compile(
    r"ffn_gate_inp|mlp\.gate\.weight|rope_freqs|rope_factors|token_types|position_embd|cls|_norm\.weight|altup|laurel|"
    r"per_layer_model_proj|ssm_conv1d|shortconv\.conv|indexer\.[kq]_proj|time_mix_(first|[wvag]\d|decay_w|lerp)|attn_rel_b"
)
"""What is never quantized (`tensor_allows_quantization`)."""
LAYER = re.compile(r"\.(\d+)\.")
FALLBACK = {
    "Q2_K": "Q4_0", "Q3_K": "Q4_0", "IQ4_XS": "IQ4_NL", "Q4_K": "Q5_0", "Q5_K": "Q5_1", "Q6_K": "Q8_0",
    "IQ1_S": "IQ4_NL", "IQ1_M": "IQ4_NL", "IQ2_XXS": "IQ4_NL", "IQ2_XS": "IQ4_NL", "IQ2_S": "IQ4_NL",
    "IQ3_XXS": "IQ4_NL", "IQ3_S": "IQ4_NL", "TQ1_0": "Q4_0", "TQ2_0": "Q4_0",
    "IQ4_NL": "F16", "Q4_0": "F16", "Q4_1": "F16", "Q5_0": "F16", "Q5_1": "F16", "Q8_0": "F16", "MXFP4": "F16",
}  # fmt: skip
"""What takes a type's place where a row is no multiple of its block (llama-quant.cpp, `tensor_type_fallback`)."""
ROLES = {
    "attention": ("attn_output.", "o_proj."),
    "output": ("output.weight", "lm_head."),
    "embedding": ("token_embd.", "embed_tokens."),
    "value": ("attn_v.", "attn_v_b.", "v_proj."),
    "joined": ("attn_qkv.", "qkv_proj.", "query_key_value."),
    "down": ("ffn_down", "down_proj"),
}
BIGGER = {
    "Q2_K": {"down": "Q3_K", "attention": "Q3_K"},
    "Q3_K_M": {"value": "Q4_K", "down": "Q4_K", "attention": "Q4_K", "joined": "Q4_K"},
    "Q3_K_L": {"value": "Q5_K", "down": "Q5_K", "attention": "Q5_K", "joined": "Q4_K"},
    "IQ3_M": {"value": "Q4_K", "attention": "Q4_K", "joined": "Q4_K"},
    "Q4_K_M": {"joined": "Q5_K"},
    "Q5_K_M": {"joined": "Q6_K"},
}
"""Roles that get more bits in every layer."""
SHARED = {
    "Q2_K": ("Q3_K", "Q4_K"),
    "Q2_K_S": ("Q2_K", "Q4_K"),
    "IQ3_S": ("IQ3_S", "Q4_K"),
    "IQ4_XS": ("IQ4_XS", "Q5_K"),
    "IQ4_NL": ("IQ4_NL", "Q5_K"),
}
"""The values' type, and what they get where at least four heads of queries share them (`n_gqa`)."""
MANY_SHARE = 4
FIRST_VALUES = {"Q3_K_M": (2, "Q5_K"), "Q4_K_S": (4, "Q5_K")}
"""The values of so many layers at the start get this."""
SOME = {"Q4_K_M": "Q6_K", "Q5_K_M": "Q6_K"}
"""Types of the values and the way down in the first and last eighth of the layers and every third between."""
FIRST = {"Q4_K_S": "Q5_K", "IQ4_XS": "Q5_K", "IQ4_NL": "Q5_K", "Q3_K_M": "Q5_K", "Q2_K_S": "Q4_K", "IQ3_M": "Q4_K"}
"""Types of the way down in the first eighth of the layers (Q3_K_M: the first sixteenth)."""
FIRST_WEIGHED = {"Q4_0": "Q4_1", "Q5_0": "Q5_1"}
"""The same, where an importance matrix is used."""
ONLY_UNWEIGHED = ("IQ4_XS", "IQ4_NL")
"""Mixtures whose first layers get nothing more with an importance matrix."""


MADE_OF = {"IQ3_M": "IQ3_S", "IQ3_XS": "IQ3_S", "IQ2_M": "IQ2_S"}
"""What most tensors of mixtures are whose name does not say it."""


def base(label: str) -> str:
    """The type that most tensors of a quantization have.

    >>> base("Q4_K_M"), base("IQ4_XS"), base("UD-Q5_K_XL"), base("F16")
    ('Q4_K', 'IQ4_XS', 'Q5_K', 'F16')
    """
    if label in NUMBERS or label in MADE_OF:
        return MADE_OF.get(label, label)
    bare = DECORATION.sub("", DECORATION.sub("", label.upper()))
    bare = bare if bare in NUMBERS else re.sub(r"_(XS|S|M|L|XL)$", "", bare)
    if bare in NUMBERS:
        return bare
    near = next((kind for kind in NUMBERS if kind.startswith(bare + "_")), "")
    return near or "F16"


def role(name: str) -> str:
    """What a tensor is for; empty where no mixture cares."""
    return next((what for what, marks in ROLES.items() if any(mark in name for mark in marks)), "")


def wanted(
    label: str, name: str, dimensions: int, layers: int, *, tied: bool, shared: int = 1, weighed: bool = False
) -> str:
    """The type that `name` deserves in a quantization, before its row length is looked at. `shared` heads of queries
    use one head of keys and values; `weighed` where an importance matrix is used."""
    kind, what = base(label), role(name)
    if dimensions < 2 or KEPT.search(name) or kind == "F32":
        return "F32"
    if kind in ("F16", "BF16", "Q8_0"):
        return kind
    if what == "output" or (what == "embedding" and tied):
        return "Q5_K" if kind.startswith(("IQ1", "IQ2")) else "Q6_K"
    found = LAYER.search(name)
    layer = int(found[1]) if found else layers
    if what in ("value", "down") and label in SOME and found and more_bits(layer, layers):
        return SOME[label]
    if what == "value" and label in SHARED:
        return SHARED[label][shared >= MANY_SHARE]
    if what == "value" and label in FIRST_VALUES and layer < FIRST_VALUES[label][0]:
        return FIRST_VALUES[label][1]
    if what == "down" and layer < layers // (16 if label == "Q3_K_M" else 8):
        first = {**FIRST, **FIRST_WEIGHED} if weighed else FIRST
        if label in first and not (weighed and label in ONLY_UNWEIGHED):
            return first[label]
    return BIGGER.get(label, {}).get(what, kind)


def more_bits(layer: int, layers: int) -> bool:
    """Whether a layer is among those that get more."""
    eighth = layers // 8
    return layer < eighth or layer >= 7 * layers // 8 or (layer - eighth) % 3 == 2


def choose(
    label: str, name: str, shape: tuple[int, ...], layers: int, *, tied: bool, shared: int = 1, weighed: bool = False
) -> str:
    """The type that a tensor gets."""
    return fitting(wanted(label, name, len(shape), layers, tied=tied, shared=shared, weighed=weighed), shape)


def fitting(kind: str, shape: tuple[int, ...]) -> str:
    """`kind`, or what takes its place where the rows of `shape` are no multiple of its block."""
    while shape and shape[-1] % TYPES[NUMBERS[kind]][1]:
        kind = FALLBACK[kind]
    return kind


def sharing(model: Model) -> int:
    """How many heads of queries use one head of keys and values (llama.cpp's `n_gqa`)."""
    return model.heads // model.kv_heads if model.kv_heads else 1


def quantized(model: Model, label: str, size: int = 0) -> Model:
    """`model` as it would be in a quantization; `size` is that of its tensors in bytes where it is known. The tensors
    have GGUF's names, whatever `model` is."""
    quality = known(label)
    if not model.tensors:
        width = quality.bits if quality else 16.0
        return _sized(model, label, size or round(model.parameters * width / 8))
    made, at = [], 0
    weighed = quality is not None and quality.imatrix
    named = gguf_names(model)
    shared = not any(role(tensor.name) == "output" for tensor in named)
    for tensor in named:
        kind = choose(
            label, tensor.name, tensor.shape, model.layers, tied=shared, shared=sharing(model), weighed=weighed
        )
        length = row_bytes(kind, tensor.shape[-1]) * (tensor.elements // tensor.shape[-1]) if tensor.shape else 4
        made.append(Tensor(tensor.name, tensor.shape, kind, at, length, ""))
        at += length
    if not size and quality and label.startswith(UNKNOWN_MIXTURES):
        size = round(model.parameters * quality.bits / 8)
    return _sized(dataclasses.replace(model, format="gguf", tensors=tuple(made), bytes=at), label, size or at)


def _sized(model: Model, label: str, size: int) -> Model:
    """`model` with tensors stretched so that they take `size` bytes together."""
    stretch = size / model.bytes if model.bytes else 1.0
    tensors = tuple(dataclasses.replace(tensor, bytes=round(tensor.bytes * stretch)) for tensor in model.tensors)
    width = size * 8 / model.parameters if model.parameters else 0.0
    return dataclasses.replace(model, tensors=tensors, bytes=size, quantization=label, bits_per_weight=width)


def gguf_names(model: Model) -> tuple[Tensor, ...]:
    """The tensors under the names that llama.cpp gives them, those of the vision part left out: in a GGUF each expert's
    matrices are one tensor."""
    if model.format == "gguf":
        return model.tensors
    found: list[Tensor] = []
    experts: dict[str, list[Tensor]] = {}
    for tensor in model.tensors:
        if VISION.search(tensor.name):
            continue
        expert = EXPERT.search(tensor.name)
        if expert and expert["number"]:
            experts.setdefault(f"blk.{expert['layer']}.ffn_{expert['what']}_exps.weight", []).append(tensor)
        elif expert:  # fused: [experts, rows, columns]
            found.append(dataclasses.replace(tensor, name=f"blk.{expert['layer']}.ffn_{expert['what']}_exps.weight"))
        else:
            found.append(dataclasses.replace(tensor, name=_renamed(tensor.name)))
    for name, parts in experts.items():
        found.append(Tensor(name, (len(parts), *parts[0].shape), parts[0].type, 0, sum(part.bytes for part in parts)))
    return tuple(found)


def _renamed(name: str) -> str:
    what, layer = role(name), LAYER.search(name)
    if what in WHOLE:
        return WHOLE[what]
    if not layer:
        return name
    if what:
        return f"blk.{layer[1]}.{ROLES[what][0].rstrip('.')}.weight"
    return f"blk.{layer[1]}.{name.rpartition('.layers.')[2].partition('.')[2] or name}"
