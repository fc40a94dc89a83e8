"""A model with the parameters that are trained: all of its own, or those of an adapter beside them (peft).

Does not know: data, training, files.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from penjing.errors import DeviceUnavailable, ModelTooBig
from penjing.files import human
from penjing.probe import checkpoint, machine
from penjing.shrink import torch_model
from penjing.shrink.extra import TORCH, require
from penjing.shrink.finetune.faults import NoSuchTarget
from penjing.shrink.finetune.options import ALL_LINEAR, FULL, LORA, METHODS, QLORA, Tuning
from penjing.shrink.torch_model import TorchModel

if TYPE_CHECKING:
    import torch

TYPE = "CAUSAL_LM"
BYTES = {LORA: 5, QLORA: 2, FULL: 17}
"""Of memory for each parameter on a processor, activations aside: weights in f32, where they are trained with their
gradients and two moments; 4 bits and the shard that is being read."""


def device(wanted: str) -> str:
    """Where to train, in torch's words. Raises DeviceUnavailable."""
    import torch

    there = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if wanted == "auto":
        return "cuda" if there["cuda"] else "cpu"
    if not there[wanted]:
        raise DeviceUnavailable(device=wanted, detail="the installed torch does not find one.")
    return wanted


def load(folder: Path, options: Tuning) -> TorchModel:
    """The checkpoint as it is trained: in float32; beside an adapter on a GPU as it is stored, or in 4 bits. Raises
    what `torch_model.load` raises, DeviceUnavailable."""
    require(*TORCH, *(("peft",) if options.adapts else ()), *(("bitsandbytes",) if options.method == QLORA else ()))
    logging.getLogger("bitsandbytes").setLevel(logging.ERROR)  # it tells of kernels that it could fetch
    place = device(options.device)
    if place == "cpu":
        _require_memory(folder, options)
    if options.method == QLORA:
        return _in_four_bits(folder, place)
    exact = not options.adapts or place == "cpu"
    return torch_model.load(folder, dtype="float32" if exact else "auto", device=place)


def _require_memory(folder: Path, options: Tuning) -> None:
    """Raises ModelTooBig before a byte of a model that cannot fit is read."""
    count = checkpoint.read(folder).parameters
    need = count * BYTES[options.method]
    free = machine.read(gpus=False).memory_available
    if need > free:
        smaller = [name for name in METHODS if count * BYTES[name] <= free]
        fits = f"--method {smaller[-1]}" if smaller else "a model of half the size, or a GPU"
        raise ModelTooBig(path=str(folder), needed=human(need), free=human(free), fits=fits)


def _in_four_bits(folder: Path, place: str) -> TorchModel:
    """NF4 with its scales quantized again (Dettmers et al., QLoRA, 2023)."""
    import torch
    from transformers import BitsAndBytesConfig

    computed = torch.bfloat16 if place == "cuda" else torch.float32
    form = BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=computed,
    )
    with _hushed():
        loaded = torch_model.load(folder, dtype=str(computed).removeprefix("torch."), device=place, quantization=form)
    if place == "cpu":
        _stay_trainable(loaded.model)
    return loaded


def _stay_trainable(model: torch.nn.Module) -> None:
    """On a processor bitsandbytes packs a layer's weights for good when it first computes in evaluation mode, and what
    is packed lets no gradient through, without a word (seen with 0.50). So its layers are never put into that mode."""
    from bitsandbytes.nn import Linear4bit

    for layer in model.modules():
        if isinstance(layer, Linear4bit):
            layer.train()
            layer.train = lambda mode=True, layer=layer: layer


def adapted(model: Any, options: Tuning) -> Any:
    """`model` with an adapter beside its linear layers, whose parameters alone are trained; `model` itself where it is
    trained whole. Raises NoSuchTarget."""
    import torch

    if options.recompute:
        model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
    if not options.adapts:
        return model
    from peft import LoraConfig, get_peft_model

    names = [name.strip() for name in options.targets.split(",") if name.strip()]
    _require_targets(model, names)
    config = LoraConfig(
        r=options.rank,
        lora_alpha=options.strength,
        lora_dropout=options.dropout,
        target_modules=ALL_LINEAR if ALL_LINEAR in names else names,
        task_type=TYPE,
    )
    torch.manual_seed(options.seed)
    with _hushed():
        made = get_peft_model(model, config)
    if options.recompute:
        made.enable_input_require_grads()
    return made


def _require_targets(model: Any, names: list[str]) -> None:
    import torch

    linear = {name.rpartition(".")[2] for name, each in model.named_modules() if isinstance(each, torch.nn.Linear)} - {
        "lm_head"
    }
    unknown = [name for name in names if name not in linear and name != ALL_LINEAR]
    if unknown or not names:
        raise NoSuchTarget(targets=", ".join(unknown) or "''", known=", ".join(sorted(linear)))


def merged(model: Any, loaded: TorchModel, options: Tuning) -> TorchModel:
    """`loaded` with the adapter's changes in its weights. Where those were kept in 4 bits, the checkpoint's own are
    loaded again: merging into 4 bits would round the changes away."""
    with _hushed():
        if options.method != QLORA:
            whole = model.merge_and_unload()
            return TorchModel(loaded.folder, whole, loaded.tokenizer, loaded.dtype)
        from peft import get_peft_model, get_peft_model_state_dict, set_peft_model_state_dict

        again = torch_model.load(loaded.folder)
        beside = get_peft_model(again.model, model.peft_config["default"])
        set_peft_model_state_dict(beside, get_peft_model_state_dict(model))
        return TorchModel(again.folder, beside.merge_and_unload(), again.tokenizer, again.dtype)


def save(model: Any, folder: Path) -> None:
    """Write the adapter as a peft folder: `adapter_config.json`, `adapter_model.safetensors`."""
    with _hushed():
        model.save_pretrained(folder)
    (folder / "README.md").unlink(missing_ok=True)  # an empty form


@contextmanager
def _hushed() -> Iterator[None]:
    """Without the warnings that peft and bitsandbytes draw from newer versions of what they use."""
    with warnings.catch_warnings(), torch_model.quiet():
        for kind in (FutureWarning, DeprecationWarning, UserWarning):
            warnings.simplefilter("ignore", kind)
        yield
