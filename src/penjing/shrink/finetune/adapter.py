"""A model with the parameters that are trained: all of its own, or those of an adapter beside them (peft).

Does not know: data, training, files.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from penjing.errors import DeviceUnavailable, ModelTooBig
from penjing.files import human
from penjing.probe import checkpoint, machine
from penjing.shrink import torch_model
from penjing.shrink.extra import TORCH, require
from penjing.shrink.finetune import base
from penjing.shrink.finetune.faults import NoSuchTarget
from penjing.shrink.finetune.options import ALL_LINEAR, FULL, LORA, METHODS, QLORA, Tuning
from penjing.shrink.torch_bits import stored
from penjing.shrink.torch_bits.faults import NotTrainedWhole, OtherBase
from penjing.shrink.torch_bits.forms import NF4
from penjing.shrink.torch_model import TorchModel, hushed

TYPE = "CAUSAL_LM"
BYTES = {LORA: 5, QLORA: 2, FULL: 17}
"""Of memory for each parameter on a processor, activations aside: weights in f32, where they are trained with their
gradients and two moments; 4 or 8 bits and the shard that is being read."""


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
    """The checkpoint as it is trained: in float32; beside an adapter on a GPU as it is stored, or in few bits. Raises
    what `torch_model.load` raises, DeviceUnavailable."""
    require(*TORCH, *(("peft",) if options.adapts else ()))
    place, form = device(options.device), stored.form(folder)
    if form is not None:
        _require_beside(folder, form, options)
    if place == "cpu":
        _require_memory(folder, options)
    if form is not None:
        return stored.read(folder, form, place)
    if options.method == QLORA:
        return base.load(folder, options, place)
    exact = not options.adapts or place == "cpu"
    return torch_model.load(folder, dtype="float32" if exact else "auto", device=place)


def _require_beside(folder: Path, form: str, options: Tuning) -> None:
    """Raises NotTrainedWhole, OtherBase. `--base nf4` is what stands where nothing was said."""
    if not options.adapts:
        raise NotTrainedWhole(path=str(folder), form=form)
    if options.base not in (form, NF4):
        raise OtherBase(path=str(folder), form=form, wanted=options.base)


def _require_memory(folder: Path, options: Tuning) -> None:
    """Raises ModelTooBig before a byte of a model that cannot fit is read."""
    count = checkpoint.read(folder).parameters
    need = count * BYTES[options.method]
    free = machine.read(gpus=False).memory_available
    if need > free:
        smaller = [name for name in METHODS if count * BYTES[name] <= free]
        fits = f"--method {smaller[-1]}" if smaller else "a model of half the size, or a GPU"
        raise ModelTooBig(path=str(folder), needed=human(need), free=human(free), fits=fits)


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
    with hushed():
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
    """`loaded` with the adapter's changes in its weights. Where those were kept in few bits, the checkpoint's own
    are loaded again, and made whole where it has no others: merging into few bits would round the changes away."""
    with hushed():
        form = stored.form(loaded.folder)
        if options.method != QLORA and form is None:
            whole = model.merge_and_unload()
            return TorchModel(loaded.folder, whole, loaded.tokenizer, loaded.dtype)
        from peft import get_peft_model, get_peft_model_state_dict, set_peft_model_state_dict

        if form is None:
            again = torch_model.load(loaded.folder)
        else:
            again = stored.whole(stored.read(loaded.folder, form, "cpu"))
        beside = get_peft_model(again.model, model.peft_config["default"])
        set_peft_model_state_dict(beside, get_peft_model_state_dict(model))
        return TorchModel(again.folder, beside.merge_and_unload(), again.tokenizer, again.dtype)


def save(model: Any, folder: Path) -> None:
    """Write the adapter as a peft folder: `adapter_config.json`, `adapter_model.safetensors`."""
    with hushed():
        model.save_pretrained(folder)
    (folder / "README.md").unlink(missing_ok=True)  # an empty form
