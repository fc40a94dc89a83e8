"""What an error of each tensor costs the model's answers: measured, with one tensor (or one kind of them) quantized.

    KL(types) is about sum over tensors of worth * E(type)        E as in `errors`

To second order the divergence is a quadratic form of the errors, those of different tensors hardly have to do with each
other, and E is quadratic too: one measurement tells the factor. Small models are measured tensor by tensor, large ones
kind by kind (all `ffn_down` together), since every measurement is a file and a run.

Does not know: budgets.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence

from penjing.probe.facts import Model
from penjing.probe.ggml import NUMBERS, TYPES

FINE = 300_000_000
"""Parameters up to which every tensor is measured by itself."""
NEAR = 3.5
"""Bits a weight of the type that is tried: an error large enough to be seen, small enough to be quadratic."""
LAYER = re.compile(r"^blk\.\d+\.")
Errors = Mapping[str, Mapping[str, float]]


def groups(model: Model, names: Sequence[str]) -> list[list[str]]:
    """Tensors that are measured together."""
    if model.parameters <= FINE:
        return [[name] for name in names]
    kinds: dict[str, list[str]] = {}
    for name in names:
        kinds.setdefault(LAYER.sub("", name), []).append(name)
    return list(kinds.values())


def bits(kind: str) -> float:
    """Bits a weight of a type."""
    _, numbers, size = TYPES[NUMBERS[kind]]
    return size * 8 / numbers


def probe(kinds: Sequence[str]) -> str:
    """The type of `kinds` that is tried."""
    return min(kinds, key=lambda kind: abs(bits(kind) - NEAR))


def worth(many: Sequence[Sequence[str]], errors: Errors, kl: Callable[[dict[str, str]], float]) -> dict[str, float]:
    """Nats for an error of 1 of each tensor. `kl` measures the divergence with types for some tensors, the others as
    they are."""
    found: dict[str, float] = {}
    for group in many:
        types = {name: probe(list(errors[name])) for name in group}
        together = sum(errors[name][kind] for name, kind in types.items())
        each = kl(types) / together if together else 0.0
        found.update(dict.fromkeys(group, each))
    return found
