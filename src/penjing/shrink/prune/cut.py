"""Takes parts out of a model: what stays computes what the whole would compute with the other parts silenced.

    layers         gone, as if they added nothing
    inner, groups  gone, as if they were zero where the layer writes
    hidden         gone, as if they were zero everywhere; norms divide by the root of the mean over fewer numbers, so
                   their weights grow by sqrt(before / after) and their epsilon by before / after

Does not know: what is worth keeping.
"""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from penjing.shrink.prune.anatomy import AXES, GEMMA, HIDDEN, Anatomy

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Kept:
    """What stays, as increasing int64 indices: `layers` and `hidden` once, `inner` channels and `groups` for each layer
    of the whole model (those of layers that go are not read)."""

    layers: tuple[int, ...]
    hidden: Tensor
    inner: tuple[Tensor, ...]
    groups: tuple[Tensor, ...]


def cut(anatomy: Anatomy, kept: Kept) -> Any:
    """A new model of the same class with only what is `kept`, in evaluation mode. Every layer must keep equally many
    channels and groups, since a config has one number for each."""
    from transformers.initialization import no_init_weights

    before = anatomy.model.state_dict()
    scale = math.sqrt(anatomy.hidden / len(kept.hidden))
    places = {layer: place for place, layer in enumerate(kept.layers)}
    after: dict[str, Tensor] = {}
    for name in dict(anatomy.model.named_parameters(remove_duplicate=False)):
        layer = anatomy.layer(name)
        if layer is not None and layer not in places:
            continue
        values = _sliced(anatomy, name, before[name], kept, layer)
        after[_renamed(name, layer, places)] = _balanced(anatomy, name, values, scale)
    with no_init_weights():
        made = type(anatomy.model)(config(anatomy, kept)).to(anatomy.model.dtype)
    made.tie_weights()
    made.load_state_dict(after)
    made.generation_config = copy.deepcopy(anatomy.model.generation_config)
    return made.eval()


def config(anatomy: Anatomy, kept: Kept) -> Any:
    """The whole model's config with the numbers of what is kept."""
    made = copy.deepcopy(anatomy.config)
    groups = len(kept.groups[kept.layers[0]])
    made.head_dim = anatomy.head  # else engines divide the new width by the new number of heads
    made.hidden_size = len(kept.hidden)
    made.intermediate_size = len(kept.inner[kept.layers[0]])
    made.num_key_value_heads = groups
    made.num_attention_heads = groups * anatomy.sharing
    made.num_hidden_layers = len(kept.layers)
    made.rms_norm_eps = anatomy.config.rms_norm_eps * anatomy.hidden / len(kept.hidden)
    kinds = getattr(anatomy.config, "layer_types", None)
    if kinds:
        made.layer_types = [kinds[layer] for layer in kept.layers]
    return made


def _sliced(anatomy: Anatomy, name: str, values: Tensor, kept: Kept, layer: int | None) -> Tensor:
    of = layer if layer is not None else kept.layers[0]
    for axis, dimension in enumerate(AXES[anatomy.suffix(name)]):
        rows = anatomy.rows(dimension, kept.hidden, kept.inner[of], kept.groups[of])
        if rows is not None:
            values = values.index_select(axis, rows)
    return values.clone()


def _balanced(anatomy: Anatomy, name: str, values: Tensor, scale: float) -> Tensor:
    """What depends on the width of the residual stream, set right for the new one. Gemma multiplies its embeddings by
    the root of the width, so they grow; its head is the embedding, so the last norm, which feeds it, does not."""
    suffix = anatomy.suffix(name)
    gemma = anatomy.kind in GEMMA
    if scale == 1.0:
        return values
    if gemma and suffix in ("embed_tokens.weight", "lm_head.weight"):
        return values * scale
    if AXES[suffix] == (HIDDEN,) and "norm" in suffix and not (gemma and suffix == "norm.weight"):
        return (values + 1) * scale - 1 if anatomy.shifted else values * scale
    return values


def _renamed(name: str, layer: int | None, places: dict[int, int]) -> str:
    return name if layer is None else name.replace(f"layers.{layer}.", f"layers.{places[layer]}.", 1)
