"""The model that an adapter goes beside: what its tensors are called, how their rows are ordered, which shapes they
have.

Does not know: adapters' files.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from penjing.export.gguf import config as settings
from penjing.export.gguf import convert
from penjing.export.gguf.config import Config
from penjing.export.gguf.families import FAMILIES, KNOWN, Family
from penjing.export.gguf.faults import AdapterMismatch, AdapterOfAnother, NotAnAdapter, unknown
from penjing.probe import model
from penjing.probe.facts import Model

EMBEDDING = "token_embd.weight"


@dataclass(frozen=True)
class Base:
    """A model of `family`. `config` has at least its numbers of heads and layers; `shapes` are those of its matrices
    [out, in] under llama.cpp's names."""

    path: Path
    family: Family
    config: Config
    shapes: Mapping[str, tuple[int, ...]]

    def name(self, module: str) -> str | None:
        """llama.cpp's name of a checkpoint's `module` (`model.layers.0.self_attn.q_proj`)."""
        return convert.tensor_name(f"{module}.weight", self.family, self.config)

    def order(self, module: str) -> NDArray[np.intp] | None:
        """Which row of the module's weight becomes which of llama.cpp's; None where they are the same."""
        return self.family.order(f"{module}.weight", self.config)

    def require_fits(self, adapter: Path, name: str, shape: tuple[int, ...]) -> None:
        """Raises AdapterMismatch where `name` is not a matrix of this model, or not of `shape`."""
        _require_same(adapter, self.path, name, shape, self.shapes.get(name, ()))


def base_of(found: Model) -> Base:
    """A model whose header was read, a checkpoint folder or a GGUF file. Raises UnknownArchitecture, ModelCorrupt."""
    path = found.path
    if found.format == "gguf":
        family = next((each for each in FAMILIES if each.arch == found.architecture), None)
        shapes = {tensor.name: tensor.shape for tensor in found.tensors}
        config = Config(path, _settings(found))
    else:
        config = settings.load(path)
        family = KNOWN.get(config.architecture)
        shapes = {}
        if family is not None:
            config = family.settle(config)
            named = convert.named(found, config, family)
            shapes = {name: tensor.shape for name, tensor in named.items()}
    if family is None:
        raise unknown(path, found.architecture, KNOWN)
    return Base(path, family, config, shapes)


def _settings(found: Model) -> dict[str, Any]:
    """A GGUF's facts in the words of config.json."""
    return {
        "num_hidden_layers": found.layers,
        "num_attention_heads": found.heads,
        "num_key_value_heads": found.kv_heads,
        "hidden_size": found.embedding,
        "head_dim": found.key_length,
    }


def require_fits(adapter: Path, base: Model) -> None:
    """Raises NotAnAdapter, AdapterOfAnother, AdapterMismatch where the GGUF file `adapter` cannot go beside `base`, and
    what reading it raises. llama.cpp would say no more than that it failed."""
    found = model.read(adapter)
    if found.metadata.get("general.type") != "adapter" or found.metadata.get("adapter.type") != "lora":
        raise NotAnAdapter(path=str(adapter), kind=str(found.metadata.get("general.type", "model")))
    if found.architecture != base.architecture:
        raise AdapterOfAnother(
            path=str(adapter), architecture=found.architecture, model=str(base.path), here=base.architecture
        )
    shapes = {tensor.name: tensor.shape for tensor in base.tensors}
    halves = {tensor.name: tensor.shape for tensor in found.tensors}
    for name, b in halves.items():
        of = name.removesuffix(".lora_b")
        if of == name or len(b) != 2:
            continue
        a = halves.get(f"{of}.lora_a", ())
        looked_up = of == EMBEDDING
        shape = (*b[:1], *(a[:1] if looked_up else a[1:]))  # rows of an embedding are looked up, not multiplied
        here = shapes.get(of, ())
        _require_same(adapter, base.path, of, shape, here[::-1] if looked_up else here)


def _require_same(adapter: Path, path: Path, tensor: str, shape: tuple[int, ...], here: tuple[int, ...]) -> None:
    if tuple(shape) != tuple(here):
        told = {"shape": "x".join(map(str, shape)), "here": "x".join(map(str, here)) or "-"}
        raise AdapterMismatch(path=str(adapter), model=str(path), tensor=tensor, **told)
