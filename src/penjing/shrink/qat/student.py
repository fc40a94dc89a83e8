"""The original's network with the numbers of a quantized file in it, which learn.

A module keeps its own arithmetic: before it computes, its `weight` is what the file would hold.

Does not know: how a number learns (`matrix`), training.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from penjing.probe.facts import Model
from penjing.probe.tensor import Tensor
from penjing.shrink.ggml import decode
from penjing.shrink.qat.faults import NotTrainable, StartOfAnother
from penjing.shrink.qat.layout import Place
from penjing.shrink.qat.matrix import Matrix, matrix
from penjing.shrink.quantize.fields import Bytes
from penjing.shrink.torch_model import TorchModel


@dataclass(frozen=True)
class Student:
    """`matrices` learn, by their names in the file; `model` computes with them."""

    model: Any
    matrices: Mapping[str, Matrix]
    places: Mapping[str, Place]

    def coded(self, name: str) -> Bytes:
        """A tensor as the file holds it, u8 [rows, row_bytes]."""
        return self.places[name].to_file(self.matrices[name].coded())


def student(loaded: TorchModel, start: Model, places: Mapping[str, Place], device: str) -> Student:
    """The network of `loaded`, whose parameters are frozen, with what the file `start` holds of its matrices. Raises
    StartOfAnother, NotTrainable."""
    loaded.model.requires_grad_(False)
    made: dict[str, Matrix] = {}
    for tensor in start.tensors:
        if len(tensor.shape) > 1:
            place = places.get(tensor.name)
            users = _users(loaded, tensor, start, place)
            assert place is not None  # else there were no users
            wanted = users[0].weight.detach().float().cpu().numpy()
            learned = matrix(tensor.type, _blocks(tensor, start, place), wanted, device)
            if learned is None:
                _stay(users, tensor, start, place)
                continue
            made[tensor.name] = learned
            for module in users:
                _computes_with(module, learned)
    return Student(loaded.model, made, places)


def _users(loaded: TorchModel, tensor: Tensor, start: Model, place: Place | None) -> list[Any]:
    """The modules that compute with a tensor: more than one where embedding and head are the same."""
    if place is None:
        raise StartOfAnother(start=str(start.path), model=str(loaded.folder), tensor=tensor.name)
    named = dict(loaded.model.named_modules())
    name, _, last = place.name.rpartition(".")
    if last != "weight" or name not in named or "weight" not in named[name]._parameters:
        raise NotTrainable(path=str(loaded.folder), tensor=place.name)
    weight = named[name].weight
    if tuple(weight.shape) != tensor.shape:
        raise StartOfAnother(start=str(start.path), model=str(loaded.folder), tensor=tensor.name)
    users = [module for module in named.values() if module._parameters.get("weight") is weight]
    return [named[name], *(module for module in users if module is not named[name])]


def _blocks(tensor: Tensor, start: Model, place: Place) -> Bytes:
    """The tensor's bytes, a row for each of its rows, in the checkpoint's order."""
    content = np.fromfile(start.path.parent / tensor.file, np.uint8, tensor.bytes, offset=tensor.offset)
    return place.from_file(content.reshape(tensor.shape[0], -1))


def _stay(modules: list[Any], tensor: Tensor, start: Model, place: Place) -> None:
    """A tensor that does not learn is computed with as the file holds it."""
    import torch

    values = decode(_blocks(tensor, start, place), tensor.type, tensor.shape[-1])
    with torch.no_grad():
        for module in modules:
            module.weight.copy_(torch.from_numpy(np.ascontiguousarray(values)))


def _computes_with(module: Any, learned: Matrix) -> None:
    """From now on `module` has no weight of its own."""
    del module.weight
    for name, values in learned.learned.items():
        module.register_parameter(name, values)

    def given(module: Any, arguments: Any) -> None:
        module.weight = learned.weight()

    def taken(module: Any, arguments: Any, made: Any) -> None:
        del module.weight  # what the gradient needs of it is kept elsewhere

    module.register_forward_pre_hook(given)
    module.register_forward_hook(taken)
