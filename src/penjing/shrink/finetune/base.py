"""The frozen weights that an adapter is trained beside, kept in fewer bits (QLoRA): by bitsandbytes or by torchao.

Does not know: adapters, training.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from penjing.errors import DeviceUnavailable
from penjing.shrink import torch_model
from penjing.shrink.extra import TORCH, require
from penjing.shrink.finetune.options import BNB8, INT4, NF4, Tuning
from penjing.shrink.torch_model import TorchModel

if TYPE_CHECKING:
    import torch

GROUP = 32
"""Weights that share a scale in int4."""
CUDA = "cuda"


def load(folder: Path, options: Tuning, place: str) -> TorchModel:
    """The checkpoint with the weights of its linear layers as `options.base` says, on the device `place`. Raises
    ShrinkExtraMissing, DeviceUnavailable and what `torch_model.load` raises."""
    import torch

    require(*TORCH, "peft", "bitsandbytes" if options.base in (NF4, BNB8) else "torchao")
    if options.base == BNB8 and place != CUDA:
        raise DeviceUnavailable(device=place, detail="bitsandbytes keeps 8 bits on CUDA only; --base int8 needs none.")
    computed = torch.bfloat16 if place == CUDA else torch.float32
    with hushed():
        form = _form(options.base, computed)
        loaded = torch_model.load(folder, dtype=str(computed).removeprefix("torch."), device=place, quantization=form)
    if options.base == NF4 and place != CUDA:
        _stay_trainable(loaded.model)
    return loaded


def _form(base: str, computed: torch.dtype) -> Any:
    """For transformers. NF4 with its scales quantized again (Dettmers et al., QLoRA, 2023); LLM.int8
    (arXiv:2208.07339); torchao's int8 with a scale for each row, and int4 with one for each GROUP, which torchao keeps
    in bytes."""
    import torch
    from transformers import BitsAndBytesConfig, TorchAoConfig

    if base == NF4:
        return BitsAndBytesConfig(
            load_in_4bit=True,
            bnb_4bit_quant_type="nf4",
            bnb_4bit_use_double_quant=True,
            bnb_4bit_compute_dtype=computed,
        )
    if base == BNB8:
        return BitsAndBytesConfig(load_in_8bit=True)
    from torchao.quantization import Int8WeightOnlyConfig, IntxWeightOnlyConfig
    from torchao.quantization.granularity import PerGroup

    if base == INT4:
        return TorchAoConfig(quant_type=IntxWeightOnlyConfig(weight_dtype=torch.int4, granularity=PerGroup(GROUP)))
    return TorchAoConfig(quant_type=Int8WeightOnlyConfig(version=2))


def _stay_trainable(model: torch.nn.Module) -> None:
    """On a processor bitsandbytes packs a layer's weights for good when it first computes in evaluation mode, and what
    is packed lets no gradient through, without a word (seen with 0.50). So its layers are never put into that mode."""
    from bitsandbytes.nn import Linear4bit

    for layer in model.modules():
        if isinstance(layer, Linear4bit):
            layer.train()
            layer.train = lambda mode=True, layer=layer: layer


@contextmanager
def hushed() -> Iterator[None]:
    """Without the warnings that peft, bitsandbytes and torchao draw from newer versions of what they use."""
    with warnings.catch_warnings(), torch_model.quiet():
        for kind in (FutureWarning, DeprecationWarning, UserWarning):
            warnings.simplefilter("ignore", kind)
        yield
