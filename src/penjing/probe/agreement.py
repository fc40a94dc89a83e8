"""Whether the counts of a header agree with its tensors: a plan for a model must not rest on a count that nothing
bears out, and llama.cpp refuses such a file only after everything was downloaded.

What is checked holds for every architecture: a layer has at least one tensor; the embedding's rows are as wide as the
header says (llama.cpp `llama-model.cpp`, `create_tensor`); keys are as wide as heads times their width, except where
layers differ or keys are compressed.

Does not know: files, what counts are used for.
"""

from __future__ import annotations

from penjing.probe.facts import Model
from penjing.probe.faults import DamagedHeader

EMBEDDING, KEYS = "token_embd.weight", ".attn_k.weight"
DIFFERING = ("attention.key_length_swa", "attention.key_length_mla", "attention.kv_lora_rank")
"""Entries of architectures whose keys are not simply so many heads of one width."""


def check(model: Model) -> Model:
    """`model`. Raises DamagedHeader where a count cannot be."""
    if not model.tensors:
        return model
    if model.layers > len(model.tensors):
        raise _refusal(model, "the number of layers", "", model.layers, f"<= {len(model.tensors)}")
    if model.format == "gguf":
        _check_widths(model)
    return model


def _check_widths(model: Model) -> None:
    keys = 0
    for tensor in model.tensors:
        if len(tensor.shape) != 2:
            continue
        if tensor.name == EMBEDDING and model.embedding and tensor.shape[-1] != model.embedding:
            raise _refusal(model, "the embedding's width", EMBEDDING, model.embedding, f"== {tensor.shape[-1]}")
        if tensor.name.startswith("blk.") and tensor.name.endswith(KEYS):
            keys = max(keys, tensor.shape[0])
    differing = any(f"{model.architecture}.{name}" in model.metadata for name in DIFFERING)
    promised = model.kv_heads * model.key_length
    if keys and promised and not differing and promised != keys:
        raise _refusal(model, "the width of keys", f"*{KEYS}", promised, f"== {keys}")


def _refusal(model: Model, word: str, name: str, value: int, wanted: str) -> DamagedHeader:
    return DamagedHeader(path=str(model.path), word=word, name=name and f" '{name}'", value=value, wanted=wanted)
