"""Checkpoints that are kept in few bits already: known by their config.json, loaded to train an adapter beside, made
whole again to merge one.

Does not know: adapters, how such a checkpoint is written.
"""

from __future__ import annotations

import copy
from pathlib import Path
from typing import TYPE_CHECKING, Any

from penjing.probe import checkpoint
from penjing.shrink import torch_model
from penjing.shrink.extra import TORCH, require
from penjing.shrink.torch_bits.forms import BY, INT4, INT8, NF4
from penjing.shrink.torch_model import TorchModel, hushed

if TYPE_CHECKING:
    import torch

TYPES = {"Int8WeightOnlyConfig": INT8, "IntxWeightOnlyConfig": INT4}
"""torchao's names of what `forms` writes."""
CUDA = "cuda"


def form(folder: Path) -> str | None:
    """One of `forms.WRITTEN`; None where the checkpoint in `folder` is in none of them. Raises DamagedConfig."""
    told = checkpoint.load_json(folder / checkpoint.CONFIG).get("quantization_config")
    if not isinstance(told, dict):
        return None
    if told.get("quant_method") == "bitsandbytes":
        return NF4 if told.get("bnb_4bit_quant_type") == "nf4" and told.get("load_in_4bit") else None
    kind = told.get("quant_type")
    default = kind.get("default") if isinstance(kind, dict) else None
    return TYPES.get(str(default.get("_type"))) if isinstance(default, dict) else None


def read(folder: Path, form: str, place: str) -> TorchModel:
    """A checkpoint that is written in `form`, on the device `place`. Raises ShrinkExtraMissing and what
    `torch_model.load` raises."""
    require(*TORCH, BY[form])
    with hushed():
        loaded = torch_model.load(folder, dtype="auto", device=place, stored=True)
        if place != CUDA:
            _compute_in(loaded.model, computed(place), form)
    if form == NF4 and place != CUDA:
        stay_trainable(loaded.model)
    return loaded


def computed(place: str) -> torch.dtype:
    """What products are computed in on a device."""
    import torch

    return torch.bfloat16 if place == CUDA else torch.float32


def _compute_in(model: torch.nn.Module, dtype: torch.dtype, form: str) -> None:
    """transformers refuses to change the type of a model of bitsandbytes: its packed weights must stay bytes."""
    if form != NF4:
        model.to(dtype)
        return
    from bitsandbytes.nn import Linear4bit

    packed = {id(each.weight) for each in model.modules() if isinstance(each, Linear4bit)}
    for values in (*model.parameters(), *model.buffers()):
        if values.is_floating_point() and id(values) not in packed:
            values.data = values.data.to(dtype)
    for layer in model.modules():
        if isinstance(layer, Linear4bit):
            layer.compute_dtype = dtype


def stay_trainable(model: torch.nn.Module) -> None:
    """On a processor bitsandbytes packs a layer's weights for good when it first computes in evaluation mode, and what
    is packed lets no gradient through, without a word (seen with 0.50). So its layers are never put into that mode."""
    from bitsandbytes.nn import Linear4bit

    for layer in model.modules():
        if isinstance(layer, Linear4bit):
            layer.train()
            layer.train = lambda mode=True, layer=layer: layer


def whole(loaded: TorchModel) -> TorchModel:
    """An ordinary model in float32 with the weights that the few bits of `loaded` say."""
    import torch
    from transformers import AutoModelForCausalLM

    config = copy.deepcopy(loaded.model.config)
    del config.quantization_config
    made = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
    known: dict[str, Any] = {
        **dict(loaded.model.named_parameters(remove_duplicate=False)),
        **dict(loaded.model.named_buffers(remove_duplicate=False)),
    }
    for name, layer in loaded.model.named_modules():
        if isinstance(layer, torch.nn.Linear):
            known[f"{name}.weight"] = _plain(layer)
    made.load_state_dict({name: known[name].detach().float() for name in made.state_dict()})
    return TorchModel(loaded.folder, made.eval(), loaded.tokenizer, loaded.dtype)


def _plain(layer: torch.nn.Linear) -> Any:
    """Its weights, [out, in]."""
    weight: Any = layer.weight
    state = getattr(weight, "quant_state", None)
    if state is not None:
        from bitsandbytes.functional import dequantize_4bit

        return dequantize_4bit(weight.data, state)
    return weight.dequantize() if hasattr(weight, "tensor_data_names") else weight
