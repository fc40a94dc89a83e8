"""The frozen weights that an adapter is trained beside, in few bits (QLoRA), made so while they are loaded.

Does not know: adapters, training, checkpoints that are written so (`torch_bits.stored`).
"""

from __future__ import annotations

from pathlib import Path

from penjing.errors import DeviceUnavailable
from penjing.shrink import torch_model
from penjing.shrink.extra import TORCH, require
from penjing.shrink.finetune.options import Tuning
from penjing.shrink.torch_bits import forms
from penjing.shrink.torch_bits.forms import BNB8, NF4
from penjing.shrink.torch_bits.stored import CUDA, computed, stay_trainable
from penjing.shrink.torch_model import TorchModel, hushed


def load(folder: Path, options: Tuning, place: str) -> TorchModel:
    """The checkpoint with the weights of its linear layers as `options.base` says, on the device `place`. Raises
    ShrinkExtraMissing, DeviceUnavailable and what `torch_model.load` raises."""
    require(*TORCH, "peft", forms.BY[options.base])
    if options.base == BNB8 and place != CUDA:
        raise DeviceUnavailable(device=place, detail="bitsandbytes keeps 8 bits on CUDA only; --base int8 needs none.")
    kind = computed(place)
    with hushed():
        form = forms.config(options.base, kind)
        loaded = torch_model.load(folder, dtype=str(kind).removeprefix("torch."), device=place, quantization=form)
    if options.base == NF4 and place != CUDA:
        stay_trainable(loaded.model)
    return loaded
