"""What goes where when a model is shared out between a GPU and the processor, layer by layer.

llama.cpp counts the output as the last layer and gives the GPU the last ones (llama-model.cpp, `i_gpu_start`). A
layer's cache lies where its weights do. The embedding stays on the processor; a tied one is copied for the output.

Does not know: devices, how much memory is free, several GPUs.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from penjing.plan.layers import each
from penjing.plan.memory import USUAL, Need, Terms, compute, kv_of, runtime
from penjing.plan.weights import EMBEDDING, doubled, tied
from penjing.probe.facts import Model

NUMBER = re.compile(r"\bblk\.(\d+)\.|\blayers\.(\d+)\.")


@dataclass(frozen=True)
class Split:
    """`layers` of them, counting the output as one, are on the GPU; what each side needs, in bytes."""

    layers: int
    gpu: Need
    cpu: Need


def split(model: Model, context: int, slots: int, layers: int, terms: Terms = USUAL) -> Split:
    """What each side needs with `layers` (0 to `model.layers` + 1; more are as many) of them on the GPU and `slots`
    conversations of `context` tokens."""
    layers, pool = min(max(layers, 0), model.layers + 1), context * slots
    first = model.layers + 1 - layers
    there, here = weights(model, first)
    kept = each(model)
    working = compute(model, pool, slots, terms)
    gpu = Need(there, kv_of(kept[first:], pool, slots, terms), working) if layers else Need(0, 0, 0)
    cpu = Need(
        weights=here,
        kv=kv_of(kept[:first], pool, slots, terms),
        compute=working,
        runtime=runtime(model, slots, terms),
        reclaimable=doubled(model, terms.repacks) if not layers else 0,
    )
    return Split(layers, gpu, cpu)


def weights(model: Model, first: int) -> tuple[int, int]:
    """Bytes of the weights on the GPU and on the processor where layer `first` is the first on the GPU. Where the
    header names no tensors, each layer has its share."""
    if first > model.layers:
        return 0, model.bytes
    if not model.tensors:
        there = round(model.bytes * (model.layers + 1 - first) / (model.layers + 1))
        return there, model.bytes - there
    there = here = 0
    for tensor in model.tensors:
        found = NUMBER.search(tensor.name)
        layer = int(found[1] or found[2]) if found else model.layers
        if tensor.name == EMBEDDING or layer < first:
            here += tensor.bytes
        if layer >= first and (tensor.name != EMBEDDING or tied(model)):
            there += tensor.bytes
    return there, here


def most_layers(model: Model, context: int, slots: int, room: int, terms: Terms = USUAL) -> int:
    """How many layers, counting the output as one, fit `room` bytes of a GPU; 0 where not even one does."""
    low, high = 0, model.layers + 1
    while low < high:
        middle = (low + high + 1) // 2
        if split(model, context, slots, middle, terms).gpu.total <= room:
            low = middle
        else:
            high = middle - 1
    return low
