"""A LoRA adapter in peft's form becomes a GGUF file that llama.cpp puts beside a model, without torch.

    base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight   [rank, in]
        ->  blk.0.attn_q.weight.lora_a                               [rank, in]
    ....q_proj.lora_B.weight   [out, rank]   ->   ....lora_b         [out, rank], rows in the order of the base's

llama.cpp multiplies by `adapter.lora.alpha / rank` (src/llama-adapter.h, `get_scale`); where peft scales a layer
otherwise (rank-stabilised, patterns) the difference goes into its `lora_b`. Format: convert_lora_to_gguf.py upstream.

Does not know: how an adapter was trained, engines.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from penjing.export.gguf.base import EMBEDDING, Base, base_of
from penjing.export.gguf.faults import AdapterTensorUnknown, AdapterUnsupported
from penjing.probe import model as probe
from penjing.probe import safetensors
from penjing.probe.checkpoint import load_json
from penjing.probe.tensor import Tensor
from penjing.shrink.container import Info, Value, pack
from penjing.shrink.rows import DTYPES, Rows
from penjing.shrink.stream import Flow, write

CONFIG, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
PREFIX = "base_model.model."
HALF = re.compile(r"\.lora_(?:embedding_)?([AB])(?:\.weight)?$")
UNCHANGED = ".base_layer.weight"
"""peft writes the base's embedding beside an adapter of it."""
REFUSED: Mapping[str, tuple[object, ...]] = {
    "peft_type": ("LORA",),
    "use_dora": (False, None),
    "bias": ("none", None),
    "lora_bias": (False, None),
    "fan_in_fan_out": (False, None),
    "modules_to_save": (None, []),
    "layer_replication": (None, []),
    "alora_invocation_tokens": (None, []),
}
"""Fields of adapter_config.json that would mean more than two matrices beside a layer, and what they must say."""


@dataclass(frozen=True)
class Pair:
    """The two halves of one layer's change: `a` [rank, in], `b` [out, rank] f32."""

    a: NDArray[np.float32]
    b: NDArray[np.float32]

    @property
    def rank(self) -> int:
        return int(self.a.shape[0])

    def changes(self, name: str) -> tuple[int, ...]:
        """The shape of the tensor `name` that it changes; an embedding is kept as [tokens, width]."""
        shape = (self.b.shape[0], self.a.shape[1])
        return shape[::-1] if name == EMBEDDING else shape


def is_folder(path: Path) -> bool:
    """Whether `path` is an adapter as peft keeps it."""
    return (path / CONFIG).is_file()


def convert(folder: Path, base: Path | Base, target: Path) -> Path:
    """Write the adapter in `folder` for the model `base` (a checkpoint folder, a GGUF file, or what is known of one) to
    `target`, in f32, whole or not at all. Raises AdapterUnsupported, AdapterTensorUnknown, AdapterMismatch,
    UnknownArchitecture, ModelCorrupt, DiskFull."""
    config = load_json(folder / CONFIG)
    for option, fine in REFUSED.items():
        if config.get(option) not in fine:
            raise AdapterUnsupported(path=str(folder), option=option, value=config.get(option), wanted=fine[0])
    under = base_of(probe.read(base)) if isinstance(base, Path) else base
    alpha = float(config.get("lora_alpha") or 1.0)
    metadata: dict[str, Value] = {
        "general.architecture": under.family.arch,
        "general.type": "adapter",
        "general.name": folder.name,
        "adapter.type": "lora",
        "adapter.lora.alpha": alpha,
    }
    flows: list[Flow] = []
    for module, pair in _pairs(folder).items():
        name = under.name(module)
        if name is None:
            raise AdapterTensorUnknown(path=str(folder), tensor=module, architecture=under.family.arch)
        under.require_fits(folder, name, pair.changes(name))
        order = under.order(module)
        scale = _scale(config, module) / (alpha / pair.rank)
        made = replace(pair, b=(pair.b if order is None else pair.b[order]) * np.float32(scale))
        flows += _flows(name, made)
    write(target, pack(metadata), flows, stage="converting")
    return target


def _flows(name: str, pair: Pair) -> list[Flow]:
    a = pair.a.T if name == EMBEDDING else pair.a  # rows of an embedding are looked up, not multiplied
    return [_flow(f"{name}.lora_a", np.ascontiguousarray(a)), _flow(f"{name}.lora_b", pair.b)]


def _flow(name: str, values: NDArray[np.float32]) -> Flow:
    return Flow(Info(name, values.shape, "F32"), lambda first, last: values[first:last])


def _pairs(folder: Path) -> dict[str, Pair]:
    """Module names as in the checkpoint, `model.layers.0.self_attn.q_proj`, to their halves."""
    path = folder / WEIGHTS
    if not path.is_file():
        raise AdapterUnsupported(path=str(folder), option="weights", value="missing", wanted=WEIGHTS)
    halves: dict[str, dict[str, NDArray[np.float32]]] = {}
    for tensor in safetensors.read(path):
        if tensor.name.endswith(UNCHANGED):
            continue
        found = HALF.search(tensor.name)
        if found is None or len(tensor.shape) != 2 or tensor.type not in DTYPES:
            raise AdapterUnsupported(path=str(folder), option="tensor", value=tensor.name, wanted="lora_A, lora_B")
        module = tensor.name[: found.start()].removeprefix(PREFIX)
        halves.setdefault(module, {})[found[1]] = _numbers(path, tensor)
    for module, both in halves.items():
        if both.keys() != {"A", "B"} or both["A"].shape[0] != both["B"].shape[1]:
            raise AdapterUnsupported(path=str(folder), option="tensor", value=module, wanted="lora_A, lora_B")
    return {module: Pair(both["A"], both["B"]) for module, both in halves.items()}


def _numbers(path: Path, tensor: Tensor) -> NDArray[np.float32]:
    return Rows(path, tensor)(0, tensor.shape[0])


def _scale(config: Mapping[str, Any], module: str) -> float:
    """By how much peft multiplies a layer's change (`LoraLayer.update_layer`)."""
    rank = float(_pattern(config.get("rank_pattern"), module) or config.get("r") or 8)
    told = _pattern(config.get("alpha_pattern"), module)
    alpha = float(config.get("lora_alpha") or 0.0) if told is None else float(told)
    return alpha / (math.sqrt(rank) if config.get("use_rslora") else rank)


def _pattern(patterns: object, module: str) -> Any:
    """The value of the first pattern that is the module's name or its end (`peft.utils.get_pattern_key`)."""
    for pattern, value in (patterns or {}).items() if isinstance(patterns, dict) else ():
        if re.match(rf"(.*\.)?({pattern})$", module):
            return value
    return None
