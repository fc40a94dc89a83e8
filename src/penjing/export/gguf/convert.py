"""A checkpoint folder in transformers' form becomes one `.gguf` file: planned from the headers, then streamed.

Does not know: what differs between families, how tokenizers are spelled, how numbers are quantized.
"""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from penjing.export.gguf import config as settings
from penjing.export.gguf import sampling, tokenizer
from penjing.export.gguf.config import Config
from penjing.export.gguf.families import KNOWN, Family
from penjing.export.gguf.faults import QuantizedCheckpoint, TensorUnknown, unknown
from penjing.probe import checkpoint
from penjing.probe.facts import Model
from penjing.probe.faults import TensorMissing, TensorShape
from penjing.probe.tensor import Tensor
from penjing.progress import Report
from penjing.shrink import lineage
from penjing.shrink.container import Info, Value, pack
from penjing.shrink.qat.layout import Place
from penjing.shrink.quantize import Mix, Quantized
from penjing.shrink.rows import DTYPES, Rows
from penjing.shrink.stream import Flow, write

if TYPE_CHECKING:
    import gguf

# Buffers and the towers of multimodal checkpoints, which the text model does not need.
IGNORED = re.compile(r"rotary_emb\.inv_freq$|\.masked_bias$|(^|\.)(vision_tower|multi_modal_projector|visual)\.")
PREFIXES = ("model.language_model.", "language_model.model.", "language_model.")
HEAD = "lm_head.weight"
NAMES_SHOWN = 4


@dataclass(frozen=True)
class Plan:
    """Everything that is known before the first number is read."""

    metadata: dict[str, Value]
    flows: tuple[Flow, ...]
    mix: Mix


def supported(folder: Path) -> bool:
    """Whether penjing converts the checkpoint in `folder` by itself. Raises DamagedConfig."""
    return settings.load(folder).architecture in KNOWN


def convert(folder: Path, target: Path, bits: int | str = 16, *, report: Report | None = None) -> Quantized:
    """Write the checkpoint in `folder` to `target` at `bits` (of `shrink.bits`, or the name of one of llama.cpp's
    mixtures) bits per weight, whole or not at all.
    Memory stays at a few blocks of rows, whatever the size of the model. `report` cancels by raising. Raises
    ModelCorrupt, ModelUnsupported, DiskFull, SettingError."""
    made = plan(folder, bits)
    metadata = pack(made.metadata) + made.mix.header
    written = write(target, metadata, made.flows, stage="converting", report=report)
    return made.mix.summary(target, written)


def plan(folder: Path, bits: int | str) -> Plan:
    """Read the headers and decide about every tensor. Raises as `convert`, without writing."""
    model, config, family = _known(folder)
    tensors = named(model, config, family)
    embedding = _embedding(tensors, folder)
    mix = Mix(bits, config.layers, "output.weight" not in tensors, shared=config.heads // config.kv_heads)
    metadata: dict[str, Value] = {
        "general.architecture": family.arch,
        "general.type": "model",
        "general.name": model.name,
        **_licence(folder),
        **family.keys(config),
        f"{family.arch}.vocab_size": embedding.shape[0],
        **tokenizer.read(config, family, embedding.shape[0]),
        **sampling.read(folder),
    }
    flows = [_flow(folder, name, tensor, config, family, mix) for name, tensor in tensors.items()]
    flows += [_computed(name, values) for name, values in family.computed(config).items()]
    return Plan(metadata, tuple(flows), mix)


def _licence(folder: Path) -> dict[str, Value]:
    """As its manifest or card names it."""
    found = lineage.licence(folder)
    return {"general.license": found} if found else {}


def layout(folder: Path) -> dict[str, Place]:
    """Where the tensors of the file that `convert` makes stand in the checkpoint. Raises as `convert`."""
    model, config, family = _known(folder)
    found = named(model, config, family)
    return {name: Place(each.name, family.order(each.name, config)) for name, each in found.items()}


def _known(folder: Path) -> tuple[Model, Config, Family]:
    """The headers of a checkpoint whose family is known."""
    model = checkpoint.read(folder)
    config = settings.load(folder)
    family = KNOWN.get(config.architecture)
    if family is None:
        raise unknown(folder, config.architecture, KNOWN)
    method = config.values.get("quantization_config")
    if isinstance(method, dict):
        raise QuantizedCheckpoint(path=str(folder), method=method.get("quant_method", "?"))
    config = family.settle(config)
    if config.layers > len(model.tensors):  # told before work that grows with the number
        raise TensorMissing(path=str(folder), names=f"blk.{config.layers - 1}")
    return model, config, family


def tensor_name(name: str, family: Family, config: Config) -> str | None:
    """llama.cpp's name of a checkpoint's tensor; None where it has none."""
    names = _names(family.arch, config.layers)
    found: str | None = names.get_name(plain(name), try_suffixes=(".weight", ".bias"))
    return found


@functools.lru_cache(maxsize=4)
def _names(arch: str, layers: int) -> gguf.TensorNameMap:
    import gguf

    known = next(number for number, name in gguf.MODEL_ARCH_NAMES.items() if name == arch)
    return gguf.get_tensor_name_map(known, layers)


def named(model: Model, config: Config, family: Family) -> dict[str, Tensor]:
    """llama.cpp's names to the checkpoint's tensors. Raises TensorUnknown, TensorMissing, TensorShape."""
    found: dict[str, Tensor] = {}
    for tensor in model.tensors:
        if IGNORED.search(tensor.name) or (tensor.name == HEAD and (config.tied or family.head_is_embedding)):
            continue
        name = tensor_name(tensor.name, family, config)
        if name is None or not tensor.shape or tensor.type not in DTYPES:
            raise TensorUnknown(path=str(model.path), tensor=tensor.name, architecture=family.arch)
        found[name] = tensor
    _complete(found, config, model.path)
    return found


def plain(name: str) -> str:
    """A tensor's name as the text-only model would have it."""
    for prefix in PREFIXES:
        if name.startswith(prefix):
            rest = name.removeprefix(prefix)
            return rest if rest.startswith("lm_head") else f"model.{rest}"
    return name


def _complete(found: dict[str, Tensor], config: Config, path: Path) -> None:
    """Every layer has what the first one has, and the ends are there."""
    first = [name.removeprefix("blk.0.") for name in found if name.startswith("blk.0.")]
    wanted = {f"blk.{layer}.{name}" for layer in range(config.layers) for name in first or ["attn_norm.weight"]}
    wanted |= {"token_embd.weight", "output_norm.weight"}
    if config.values.get("tie_word_embeddings") is False:
        wanted.add("output.weight")
    missing = sorted(wanted - found.keys())
    if missing:
        shown = ", ".join(missing[:NAMES_SHOWN]) + (" ..." if len(missing) > NAMES_SHOWN else "")
        raise TensorMissing(path=str(path), names=shown)


def _embedding(named: dict[str, Tensor], folder: Path) -> Tensor:
    embedding = named["token_embd.weight"]
    if len(embedding.shape) != 2:
        raise TensorShape(path=str(folder), tensor=embedding.name, shape=embedding.shape, wanted="[tokens, width]")
    return embedding


def _flow(folder: Path, name: str, tensor: Tensor, config: Config, family: Family, mix: Mix) -> Flow:
    order = family.order(tensor.name, config)
    rows = tensor.shape[0]
    if order is not None and len(order) != rows:
        raise TensorShape(path=str(folder), tensor=tensor.name, shape=tensor.shape, wanted=f"[{len(order)}, ...]")
    info = Info(name, tensor.shape, mix.choose(name, tensor.shape))
    if order is not None and len(tensor.shape) == 1:
        whole = Rows(folder / tensor.file, tensor)
        return Flow(info, lambda first, last: whole(first, last)[:, order])
    return Flow(info, Rows(folder / tensor.file, tensor, order, family.shift(tensor.name)))


def _computed(name: str, values: NDArray[np.float32]) -> Flow:
    return Flow(Info(name, values.shape, "F32"), lambda first, last: values.reshape(1, -1))
