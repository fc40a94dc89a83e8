"""A model's weights by what becomes of them: their types, which are kept twice, which are read for every token.

Does not know: how fast anything is, contexts.
"""

from __future__ import annotations

from penjing.plan.layers import fact
from penjing.probe.facts import Model
from penjing.probe.ggml import NUMBERS, TYPES
from penjing.probe.machine import Machine
from penjing.probe.tensor import Tensor

EMBEDDING, OUTPUT = "token_embd.weight", "output.weight"
EXPERTS = "_exps."
ROWS = 8
"""Rows that are interleaved; a matrix with another number of them is left as it is."""
REPACKED: dict[str, dict[str, tuple[str, ...]]] = {
    "x86_64": {"AVX2": ("Q4_0", "Q4_K", "IQ4_NL", "MXFP4")},
    "aarch64": {"dotprod": ("Q4_0", "Q4_K", "Q5_K", "Q6_K", "Q8_0", "IQ4_NL", "MXFP4")},
}
"""Types whose rows llama.cpp interleaves as it loads them, by architecture and instruction set
(ggml-cpu/repack.cpp `ggml_repack_get_optimal_repack_type`; seen on x86-64)."""


def repacking(machine: Machine) -> frozenset[str]:
    """The types that llama.cpp interleaves on `machine`."""
    known = REPACKED["aarch64" if "NEON" in machine.instructions else "x86_64"]
    return frozenset(kind for name, kinds in known.items() if name in machine.instructions for kind in kinds)


def tied(model: Model) -> bool:
    """Whether the output has no matrix of its own and uses the embedding's."""
    return not any(tensor.name == OUTPUT for tensor in model.tensors)


def repacked(model: Model, kinds: frozenset[str]) -> tuple[Tensor, ...]:
    """The tensors of which an interleaved copy is made: matrices that are multiplied with."""
    return tuple(tensor for tensor in model.tensors if tensor.type in kinds and _multiplied(tensor, tied(model)))


def _multiplied(tensor: Tensor, tied: bool) -> bool:
    if len(tensor.shape) == 3 and EXPERTS not in tensor.name:
        return False
    table = tensor.name == EMBEDDING and not tied
    return len(tensor.shape) > 1 and not table and tensor.shape[-2] % ROWS == 0 and tensor.name.endswith(".weight")


def doubled(model: Model, kinds: frozenset[str]) -> int:
    """Bytes of the file's pages that stay in memory beside interleaved copies, until somebody needs the room. A file is
    mapped from its first tensor that is used as it is to the last (llama.cpp `llama_mmap::unmap_fragment`)."""
    copies = repacked(model, kinds)
    if not copies:
        return 0
    copied = {tensor.name for tensor in copies} - {EMBEDDING}
    mapped = 0
    for file in {tensor.file for tensor in model.tensors}:
        kept = [tensor for tensor in model.tensors if tensor.file == file and tensor.name not in copied]
        if kept:
            mapped += max(tensor.offset + tensor.bytes for tensor in kept) - min(tensor.offset for tensor in kept)
    return max(0, mapped + sum(tensor.bytes for tensor in copies) - model.bytes)


def active(model: Model, *, experts: bool = False) -> dict[str, tuple[int, int]]:
    """Bytes and numbers of the weights that one token is multiplied with, by type: of experts those it is sent to, of
    the embedding nothing unless it is the output as well. With `experts` those of experts alone."""
    share = used_share(model)
    found: dict[str, tuple[int, int]] = {}
    shared = tied(model)
    for tensor in model.tensors:
        if len(tensor.shape) < 2 or (tensor.name == EMBEDDING and not shared):
            continue
        if experts and EXPERTS not in tensor.name:
            continue
        part = share if EXPERTS in tensor.name else 1.0
        size, numbers = found.get(tensor.type, (0, 0))
        found[tensor.type] = size + round(tensor.bytes * part), numbers + round(tensor.elements * part)
    return found if found or experts else {model.quantization: (model.bytes, model.parameters)}


def used_share(model: Model) -> float:
    """The share of the experts that one token is sent to; 1 without experts."""
    used = fact(model, "expert_used_count", "num_experts_per_tok", "moe_topk", "num_experts_per_token")
    return min(1.0, used / model.experts) if model.experts and used else 1.0


def touched_share(model: Model, tokens: int) -> float:
    """The share of the experts that at least one of `tokens` is sent to, if each chooses freely."""
    return 1.0 - (1.0 - used_share(model)) ** max(tokens, 1)


def bits(kind: str) -> float:
    """Bits a number of a ggml type, scales included; of an unknown one 16.

    >>> bits("Q8_0"), bits("F16")
    (8.5, 16.0)
    """
    if kind not in NUMBERS:
        return 32.0 if kind == "F32" else 16.0
    _, block, size = TYPES[NUMBERS[kind]]
    return size * 8 / block
