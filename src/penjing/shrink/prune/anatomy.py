"""Where the parts of a model are that can be cut: which axis of which tensor runs over which of its dimensions.

    hidden    the residual stream, the same in every layer
    inner     channels of a layer's feed-forward part
    queries   rows of all attention heads; a *group* is a key-value head with the query heads that share it
    keys      rows of all key-value heads

Source: the modelling files of transformers 5 for each kind in KINDS.

Does not know: what is worth keeping, how it is cut.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from penjing.errors import ModelUnsupported

if TYPE_CHECKING:
    import torch
    from torch import Tensor

HIDDEN, INNER, QUERIES, KEYS, FREE = "hidden", "inner", "queries", "keys", ""
FUSED, GATED = "queries, keys and values", "gate and up"
"""Two or three dimensions one after the other in one tensor (Phi-3, GLM)."""
AXES: dict[str, tuple[str, ...]] = {
    "embed_tokens.weight": (FREE, HIDDEN),
    "lm_head.weight": (FREE, HIDDEN),
    "norm.weight": (HIDDEN,),
    "self_attn.q_proj.weight": (QUERIES, HIDDEN),
    "self_attn.q_proj.bias": (QUERIES,),
    "self_attn.k_proj.weight": (KEYS, HIDDEN),
    "self_attn.k_proj.bias": (KEYS,),
    "self_attn.v_proj.weight": (KEYS, HIDDEN),
    "self_attn.v_proj.bias": (KEYS,),
    "self_attn.qkv_proj.weight": (FUSED, HIDDEN),
    "self_attn.o_proj.weight": (HIDDEN, QUERIES),
    "self_attn.o_proj.bias": (HIDDEN,),
    "self_attn.q_norm.weight": (FREE,),
    "self_attn.k_norm.weight": (FREE,),
    "mlp.gate_proj.weight": (INNER, HIDDEN),
    "mlp.gate_proj.bias": (INNER,),
    "mlp.up_proj.weight": (INNER, HIDDEN),
    "mlp.up_proj.bias": (INNER,),
    "mlp.gate_up_proj.weight": (GATED, HIDDEN),
    "mlp.down_proj.weight": (HIDDEN, INNER),
    "mlp.down_proj.bias": (HIDDEN,),
    "input_layernorm.weight": (HIDDEN,),
    "post_attention_layernorm.weight": (HIDDEN,),
    "pre_feedforward_layernorm.weight": (HIDDEN,),
    "post_feedforward_layernorm.weight": (HIDDEN,),
    "post_self_attn_layernorm.weight": (HIDDEN,),
    "post_mlp_layernorm.weight": (HIDDEN,),
}
KINDS = ("llama", "mistral", "qwen2", "qwen3", "gemma2", "gemma3_text", "phi3", "glm", "glm4")
"""`model_type` of what can be cut; a test cuts one of each."""
GEMMA = ("gemma2", "gemma3_text")
"""Their norms multiply by 1 + weight, their embeddings by the root of the width."""
LAYER = re.compile(r"^model\.layers\.(\d+)\.(.*)$")


class CannotPrune(ModelUnsupported):
    """Facts: `path`, `detail`, `nearest`."""

    template = "{path} cannot be pruned: {detail}"
    hint = "Kinds that can be: {nearest}. Quantizing works for every kind: penjing quantize --help"


class Anatomy:
    """The dimensions of one model. Raises CannotPrune for a kind that is not known, or has a tensor that is not."""

    def __init__(self, model: Any, path: object = "the model") -> None:
        self.model = model
        self.config = model.config
        self.path = str(path)
        self.kind = str(self.config.model_type)
        if self.kind not in KINDS:
            self.refuse(f"its kind is {self.kind}")
        unknown = [name for name, _ in model.named_parameters() if self.suffix(name) not in AXES]
        if unknown:
            self.refuse(f"it has a tensor {unknown[0]}")

    def refuse(self, detail: str) -> None:
        """Raises CannotPrune."""
        raise CannotPrune(path=self.path, detail=detail, nearest=", ".join(KINDS))

    @property
    def layers(self) -> int:
        return int(self.config.num_hidden_layers)

    @property
    def hidden(self) -> int:
        return int(self.config.hidden_size)

    @property
    def inner(self) -> int:
        return int(self.config.intermediate_size)

    @property
    def groups(self) -> int:
        """Key-value heads, each with the query heads that share it."""
        return int(self.config.num_key_value_heads or self.config.num_attention_heads)

    @property
    def sharing(self) -> int:
        """Query heads of one group."""
        return int(self.config.num_attention_heads) // self.groups

    @property
    def head(self) -> int:
        """Width of one head."""
        return int(getattr(self.config, "head_dim", None) or self.hidden // self.config.num_attention_heads)

    @property
    def shifted(self) -> bool:
        """Whether norms multiply by 1 + weight."""
        return self.kind in GEMMA

    @property
    def period(self) -> int:
        """Every how many layers the kinds of attention repeat; 1 where all layers are alike."""
        kinds = list(getattr(self.config, "layer_types", None) or ["full_attention"])
        return next(n for n in range(1, len(kinds) + 1) if kinds[n:] == kinds[:-n])

    @staticmethod
    def suffix(name: str) -> str:
        """A parameter's name without where it stands: `self_attn.q_proj.weight`."""
        found = LAYER.match(name)
        return found[2] if found else name.removeprefix("model.")

    @staticmethod
    def layer(name: str) -> int | None:
        """The layer a parameter belongs to."""
        found = LAYER.match(name)
        return int(found[1]) if found else None

    def parts(self, layer: int) -> tuple[torch.nn.Linear, torch.nn.Linear]:
        """The matrices by which a layer writes: of the attention [hidden, queries], of the feed-forward part
        [hidden, inner]."""
        block = self.model.model.layers[layer]
        return block.self_attn.o_proj, block.mlp.down_proj

    def rows(self, axis: str, hidden: Tensor, inner: Tensor, groups: Tensor) -> Tensor | None:
        """The indices along `axis` that keep the given hidden dimensions, inner channels and groups, all int64; None
        for an axis that stays whole."""
        import torch

        queries, keys = spread(groups, self.sharing * self.head), spread(groups, self.head)
        first, second = self.groups * self.sharing * self.head, self.groups * self.head
        return {
            HIDDEN: hidden,
            INNER: inner,
            QUERIES: queries,
            KEYS: keys,
            FUSED: torch.cat([queries, first + keys, first + second + keys]),
            GATED: torch.cat([inner, self.inner + inner]),
        }.get(axis)


def spread(blocks: Tensor, width: int) -> Tensor:
    """The indices within `blocks` of `width` each.

    >>> import torch
    >>> spread(torch.tensor([0, 2]), 2).tolist()
    [0, 1, 4, 5]
    """
    import torch

    return (blocks[:, None] * width + torch.arange(width)).reshape(-1)
