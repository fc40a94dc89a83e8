"""A checkpoint becomes one whose matrices are in few bits, tensor by tensor from disk to disk, in files of at most
SHARD bytes: memory holds one file and one tensor.

    OUTPUT/config.json      with `quantization_config`: transformers, peft and `penjing finetune` know it by that
    OUTPUT/model-*.safetensors, their index, the tokenizer's files, manifest.json

What is not a matrix of a linear layer (embedding, norms, biases, experts kept in one tensor) and the head stay as they
are.

Does not know: what was lost (`loss`), names of models.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from penjing.files import require_room
from penjing.probe import checkpoint
from penjing.progress import Progress, Report
from penjing.shrink import torch_model
from penjing.shrink.extra import TORCH, require
from penjing.shrink.lineage import Step
from penjing.shrink.lineage import write as describe
from penjing.shrink.output import require_free, whole_folder
from penjing.shrink.torch_bits import forms
from penjing.shrink.torch_bits.faults import LayersUnnamed, RowsDoNotFit

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from penjing.manifest import Manifest
    from penjing.probe.facts import Model

SHARD = 512 << 20
"""Bytes of tensors in a file."""
NAMES_SHOWN = 3
LIBRARIES = ("torch", "transformers", "torchao", "bitsandbytes")
FILE = "model-{number:05d}-of-{count:05d}.safetensors"


@dataclass(frozen=True)
class Written:
    """`matrices` were changed, `share` of all numbers; `before` and `after` are bytes of tensors. `kl`: what was lost,
    in nats a token, None where it was not measured."""

    output: Path
    form: str
    matrices: int
    share: float
    before: int
    after: int
    kl: float | None
    manifest: Manifest


@dataclass(frozen=True)
class Layers:
    """The linear layers of a model by the names of their tensors: `chosen`, and modules that stay `apart`. `dtype` is
    the one that it is computed in."""

    chosen: Mapping[str, str]
    apart: list[str]
    dtype: torch.dtype


@dataclass
class Shards:
    """Files of at most SHARD bytes in `folder`; what belongs together stays in one. `told` goes into every header,
    since transformers keeps the last one's list of tensors."""

    folder: Path
    told: Mapping[str, str]
    files: list[list[str]] = field(default_factory=list)
    waiting: dict[str, Tensor] = field(default_factory=dict)
    total: int = 0

    def add(self, tensors: Mapping[str, Tensor]) -> None:
        """One matrix with its scales, or one tensor."""
        if self.waiting and _bytes(self.waiting) + _bytes(tensors) > SHARD:
            self._flush()
        self.waiting.update({name: each.contiguous() for name, each in tensors.items()})

    def _flush(self) -> None:
        from safetensors.torch import save_file

        self.total += _bytes(self.waiting)
        save_file(self.waiting, self._path(len(self.files), 0), metadata={"format": "pt", **self.told})
        self.files.append(list(self.waiting))
        self.waiting.clear()

    def _path(self, index: int, count: int) -> Path:
        return self.folder / FILE.format(number=index + 1, count=count)

    def close(self) -> None:
        """Their final names, and the index."""
        self._flush()
        count = len(self.files)
        if count == 1:
            self._path(0, 0).rename(self.folder / "model.safetensors")
            return
        for index in range(count):
            self._path(index, 0).rename(self._path(index, count))
        places = {name: self._path(index, count).name for index, names in enumerate(self.files) for name in names}
        _page(self.folder / checkpoint.INDEX, {"metadata": {"total_size": self.total}, "weight_map": places})


def quantize(source: Path, output: Path, form: str, *, measured: Any = None, report: Report | None = None) -> Written:
    """Write the checkpoint `source` with its matrices in `form` (one of `forms.WRITTEN`) to `output`, whole or not at
    all. `measured` is a function from the new folder to what was lost in nats a token (or None). `report` cancels by
    raising. Raises ShrinkExtraMissing, OutputTaken, DiskFull, RowsDoNotFit, LayersUnnamed, WeightsNotFinite,
    and what `torch_model.require_known` and `probe.checkpoint.read` raise."""
    require(*TORCH, forms.BY[form])
    require_free(output)
    model = checkpoint.read(source)
    torch_model.require_known(source)
    with torch_model.hushed():
        layers = _layers(model, form)
        _require_fits(model, layers, form)
        output.parent.mkdir(parents=True, exist_ok=True)
        require_room(output.parent, _size(model, layers, form))
        with whole_folder(output) as folder:
            after = _stream(model, layers, form, folder, report)
            _config(source, folder, layers, form)
            torch_model.keep(source, folder)
            kl = measured(folder) if measured is not None else None
            numbers = sum(each.elements for each in model.tensors if each.name in layers.chosen)
            share = numbers / max(model.parameters, 1)
            found = {"matrices": len(layers.chosen), "share": share, "bytes": {"before": model.bytes, "after": after}}
            step = Step("quantize", {"to": f"torch-{form}"}, found=found | ({"kl": kl} if kl is not None else {}),
                        libraries=LIBRARIES)  # fmt: skip
            made = describe(folder, output.name, source, step)
    return Written(output, form, len(layers.chosen), share, model.bytes, after, kl, made)


def _layers(model: Model, form: str) -> Layers:
    """Raises LayersUnnamed where a layer's tensor is not found under the layer's name."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    config = AutoConfig.from_pretrained(model.path, local_files_only=True, trust_remote_code=False)
    with torch.device("meta"):
        empty = AutoModelForCausalLM.from_config(config)
    head = empty.get_output_embeddings()
    linear = {name: each for name, each in empty.named_modules() if isinstance(each, torch.nn.Linear)}
    apart = [name for name, each in linear.items() if each is head]
    chosen = {f"{name}.weight": name for name in linear if name not in apart}
    there = {each.name for each in model.tensors}
    lacking = [name for tensor, name in chosen.items() if tensor not in there]
    if lacking or not chosen:
        raise LayersUnnamed(path=str(model.path), count=len(lacking), names=_named(lacking))
    dtype = config.dtype if isinstance(config.dtype, torch.dtype) else torch.float32
    return Layers(chosen, apart, dtype)


def _require_fits(model: Model, layers: Layers, form: str) -> None:
    wrong = [
        f"{each.name} ({each.shape[-1]})"
        for each in model.tensors
        if each.name in layers.chosen and not forms.fits(form, each.shape[-1])
    ]
    if wrong:
        facts = {"count": len(wrong), "names": _named(wrong), "form": form, "group": forms.GROUP}
        raise RowsDoNotFit(path=str(model.path), **facts)


def _named(names: list[str]) -> str:
    return ", ".join(names[:NAMES_SHOWN]) + (" ..." if len(names) > NAMES_SHOWN else "")


def _size(model: Model, layers: Layers, form: str) -> int:
    few = sum(each.elements for each in model.tensors if each.name in layers.chosen)
    rest = sum(each.bytes for each in model.tensors if each.name not in layers.chosen)
    return int(1.02 * (few * forms.BITS[form] / 8 + rest)) + (1 << 20)


def _stream(model: Model, layers: Layers, form: str, folder: Path, report: Report | None) -> int:
    """Bytes of what was written."""
    from safetensors import safe_open

    shards, done = Shards(folder, _told(model, layers, form)), 0
    for path in model.files:
        with safe_open(path, framework="pt") as file:
            for tensor in (each for each in model.tensors if each.file == path.name):
                values = file.get_tensor(tensor.name)
                _require_finite(values, tensor.name, path)
                module = layers.chosen.get(tensor.name)
                made = {tensor.name: values}
                if module is not None:
                    made, _ = forms.coded(form, module, values.to(layers.dtype))
                shards.add(made)
                done += tensor.bytes
                if report is not None:
                    report(Progress(done / model.bytes, "quantizing"))
    shards.close()
    return shards.total


def _told(model: Model, layers: Layers, form: str) -> dict[str, str]:
    """What torchao wants to read in each file's header: of each tensor in the checkpoint what it is, which is the same
    for a matrix of one row; and the list of them."""
    import torch

    if forms.BY[form] != "torchao":
        return {}
    found = {each.name: json.dumps({"_type": "Tensor"}) for each in model.tensors}
    for each in model.tensors:
        module = layers.chosen.get(each.name)
        if module is not None:
            found |= forms.coded(form, module, torch.ones(1, each.shape[-1], dtype=layers.dtype))[1]
    return found | {"tensor_names": json.dumps(list(found))}


def _require_finite(values: Tensor, name: str, path: Path) -> None:
    import torch

    if values.is_floating_point() and not bool(torch.isfinite(values).all()):
        count = int((~torch.isfinite(values)).sum())
        raise torch_model.WeightsNotFinite(path=str(path), tensor=name, count=count)


def _config(source: Path, folder: Path, layers: Layers, form: str) -> None:
    page = checkpoint.load_json(source / checkpoint.CONFIG)
    told = forms.config(form, layers.dtype, apart=layers.apart or None).to_dict()
    _page(folder / checkpoint.CONFIG, {**page, "quantization_config": told})


def _bytes(tensors: Mapping[str, Tensor]) -> int:
    return sum(each.numel() * each.element_size() for each in tensors.values())


def _page(path: Path, content: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(content, indent=2, ensure_ascii=False, sort_keys=True) + "\n", encoding="utf-8")
