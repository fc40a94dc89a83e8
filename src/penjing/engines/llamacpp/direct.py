"""A model computed in this process through llama.cpp's C interface, call by call: for whoever measures its insides.

Source: llama.h of the library (`llama_model_params`, `llama_context_params`). The library promises no layout of these
structures, so their documented defaults are looked for at the places where they are expected before any is set.

Does not know: what is measured, HTTP. Serving is the worker's (`worker`).
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterable, Sequence
from typing import Any

from penjing.engines.llamacpp.settings import Settings
from penjing.errors import EngineStartFailed
from penjing.native import spin
from penjing.native.library import LibraryMissing, function, library_version
from penjing.probe.ggml import NUMBERS

POINTER, INT, UINT, FLOAT, FLAG = ctypes.c_void_p, ctypes.c_int32, ctypes.c_uint32, ctypes.c_float, ctypes.c_bool
REST = 400
"""Bytes after the parts of a structure that are known; the library may go on there."""
ERROR = 4
"""ggml.h, GGML_LOG_LEVEL_ERROR."""
FLASH = {"auto": -1, "off": 0, "on": 1}
"""llama.h, `llama_flash_attn_type`."""
LINEAR = 1
"""llama.h, LLAMA_ROPE_SCALING_TYPE_LINEAR."""
MMAP, READ = 1, 0
"""llama.h, `llama_load_mode`."""
TOP_K, TOP_P, MIN_P, TEMPERATURE = 40, 0.95, 0.05, 0.8
"""What the server samples with where a request says nothing (llama.cpp common.h, `common_params_sampling`)."""
SAMPLERS = "top_k top_p min_p temperature dist"

Callback = ctypes.CFUNCTYPE(FLAG, POINTER, FLAG, POINTER)
"""ggml-backend.h, `ggml_backend_sched_eval_callback`: tensor, whether it is still to be computed, user's data."""
_Listener = ctypes.CFUNCTYPE(None, INT, ctypes.c_char_p, POINTER)


def _laid_out(name: str, *parts: tuple[str, Any, Any]) -> Any:
    """A structure of the library from its parts in order: words, a C type, what the library sets there (`...` where
    that differs between machines)."""
    fields = [(word, kind, default) for words, kind, default in parts for word in words.split()]
    known = {word: default for word, _, default in fields if default is not ...}
    rest = ("rest", ctypes.c_uint8 * REST)
    layout = [*((word, kind) for word, kind, _ in fields), rest]
    return type(name, (ctypes.Structure,), {"_fields_": layout, "known": known})


_ModelParams = _laid_out(
    "_ModelParams",
    ("devices buffer_overrides", POINTER, None),
    ("gpu_layers", INT, -1),
    ("split_mode", INT, 1),
    ("load_mode", INT, -1),
    ("lazy_mode", INT, 1),
    ("main_gpu", INT, 0),
    ("tensor_split progress progress_data overrides", POINTER, None),
    ("vocab_only check_tensors", FLAG, False),
    ("use_extra_bufts", FLAG, True),
    ("no_host no_alloc", FLAG, False),
)
_ContextParams = _laid_out(
    "_ContextParams",
    ("ctx", UINT, 512),
    ("batch", UINT, 2048),
    ("ubatch", UINT, 512),
    ("seq_max", UINT, 1),
    ("rs_seq outputs outputs_per_seq", UINT, ...),
    ("threads threads_batch", INT, 4),
    ("ctx_type", INT, 0),
    ("rope_scaling pooling attention flash", INT, -1),
    ("rope_base rope_scale", FLOAT, 0.0),
    ("yarn_ext yarn_attn yarn_fast yarn_slow", FLOAT, -1.0),
    ("yarn_ctx", UINT, 0),
    ("defrag", FLOAT, -1.0),
    ("callback callback_data", POINTER, None),
    ("type_k type_v", INT, NUMBERS["F16"]),
    ("abort abort_data unknown", POINTER, None),
    ("embeddings", FLAG, False),
    ("offload_kqv no_perf op_offload swa_full", FLAG, True),
    ("unified", FLAG, False),
)


def _made(maker: str, kind: Any) -> Any:
    """A structure with the library's defaults. Raises LibraryMissing where they are not where they should be."""
    found = function(maker, kind)()
    odd = [word for word, default in kind.known.items() if getattr(found, word) != default]
    if odd:
        version = f"{maker} of version {library_version()}"
        raise LibraryMissing(detail=f"{version} is laid out in another way than penjing knows ({odd[0]})")
    return found


class _Batch(ctypes.Structure):
    """llama.h, `llama_batch`."""

    _fields_ = (("tokens", INT), *((name, POINTER) for name in ("token", "embd", "pos", "seqs", "seq", "logits")))


class Loaded:
    """The weights of `settings.model`, once for all contexts. Raises LibraryMissing, EngineStartFailed; use as a
    context manager. Where `gpu_layers` is 0 no GPU is touched, as in the worker."""

    def __init__(self, settings: Settings) -> None:
        spin.bound()
        self.settings = settings
        self._complaints: list[str] = []
        self._listener = _Listener(self._hear)
        function("llama_log_set", None, _Listener, POINTER)(self._listener, None)
        function("llama_backend_init", None)()
        params = _made("llama_model_default_params", _ModelParams)
        nothing = (POINTER * 1)()
        params.load_mode, params.gpu_layers = MMAP if settings.mmap else READ, settings.gpu_layers
        if not settings.gpu_layers:
            params.devices = ctypes.addressof(nothing)
        load = function("llama_model_load_from_file", POINTER, ctypes.c_char_p, _ModelParams)
        self.address = load(settings.model.encode(), params)
        if not self.address:
            raise self.failed()
        self._vocabulary = function("llama_model_get_vocab", POINTER, POINTER)(self.address)
        try:
            self._adapters = [self._adapter(path) for path, _ in settings.lora]
        except EngineStartFailed:
            self.__exit__()
            raise

    def __enter__(self) -> Loaded:
        return self

    def __exit__(self, *_: object) -> None:
        function("llama_model_free", None, POINTER)(self.address)  # adapters go with it

    def _hear(self, level: int, text: bytes, data: object) -> None:
        if level == ERROR:
            self._complaints.append(text.decode(errors="replace").strip())

    def failed(self) -> EngineStartFailed:
        """The error to raise, with the library's own words."""
        detail = self._complaints[0] if self._complaints else "llama.cpp says nothing about it"
        return EngineStartFailed(model=self.settings.name, detail=detail)

    def _adapter(self, path: str) -> int:
        made = function("llama_adapter_lora_init", POINTER, POINTER, ctypes.c_char_p)(self.address, path.encode())
        if not made:
            raise self.failed()
        return int(made)

    @property
    def adapters(self) -> tuple[Any, Any]:
        """LoRA adapters and their weights as C arrays."""
        count = len(self._adapters)
        weights = [weight for _, weight in self.settings.lora]
        return (POINTER * count)(*self._adapters), (FLOAT * count)(*weights)

    @property
    def generates(self) -> bool:
        """Whether it is a decoder without an encoder before it."""
        has = [function(f"llama_model_has_{part}", FLAG, POINTER)(self.address) for part in ("encoder", "decoder")]
        return has == [False, True]

    def tokens(self, text: str) -> list[int]:
        """`text` in tokens, with those that the model wants at the beginning."""
        raw, room = text.encode(), len(text.encode()) + 8
        found = (INT * room)()
        call = function("llama_tokenize", INT, POINTER, ctypes.c_char_p, INT, POINTER, INT, FLAG, FLAG)
        return list(found[: call(self._vocabulary, raw, len(raw), found, room, True, False)])


class Context:
    """A conversation of at most `length` tokens with a `Loaded` model, computed as the worker computes it. `callback`
    is asked about each operation (see `Callback`). Raises EngineStartFailed; use as a context manager."""

    def __init__(self, model: Loaded, length: int, callback: Any = None) -> None:
        self.model, self._callback = model, callback
        self._params = self._asked(length)
        start = function("llama_init_from_model", POINTER, POINTER, _ContextParams)
        self.address = start(model.address, self._params)
        if not self.address:
            raise model.failed()
        self._memory = function("llama_get_memory", POINTER, POINTER)(self.address)
        self._sampler = sampler()
        adapters, weights = model.adapters
        if len(adapters):
            attach = function("llama_set_adapters_lora", INT, POINTER, POINTER, ctypes.c_size_t, POINTER)
            attach(self.address, adapters, len(adapters), weights)

    def _asked(self, length: int) -> Any:
        settings = self.model.settings
        params = _made("llama_context_default_params", _ContextParams)
        params.ctx, params.batch, params.ubatch = length, settings.batch, settings.ubatch
        params.threads = params.threads_batch = settings.threads
        params.flash, params.swa_full = FLASH[settings.flash_attention], False
        params.type_k = params.type_v = NUMBERS[settings.kv_type.upper()]
        if settings.rope_scale != 1:
            params.rope_scaling, params.rope_scale = LINEAR, 1 / settings.rope_scale
        if self._callback is not None:
            params.callback = ctypes.cast(self._callback, POINTER)
        return params

    def __enter__(self) -> Context:
        return self

    def __exit__(self, *_: object) -> None:
        function("llama_sampler_free", None, POINTER)(self._sampler)
        function("llama_free", None, POINTER)(self.address)

    def clear(self) -> None:
        """Forget the conversation."""
        function("llama_memory_clear", None, POINTER, FLAG)(self._memory, False)

    def decode(self, tokens: Sequence[int]) -> None:
        """Compute `tokens`, at most a micro-batch of them, and wait for the result. Raises EngineStartFailed."""
        kept = (INT * len(tokens))(*tokens)
        batch = function("llama_batch_get_one", _Batch, POINTER, INT)(kept, len(tokens))
        status = function("llama_decode", INT, POINTER, _Batch)(self.address, batch)
        function("llama_synchronize", None, POINTER)(self.address)
        if status:
            raise EngineStartFailed(model=self.model.settings.name, detail=f"llama_decode returned {status}")

    def sample(self) -> int:
        """The next token."""
        return int(function("llama_sampler_sample", INT, POINTER, POINTER, INT)(self._sampler, self.address, -1))


def sampler() -> int:
    """The chain of SAMPLERS."""
    flag = type("_ChainParams", (ctypes.Structure,), {"_fields_": (("no_perf", FLAG),)})
    chain = function("llama_sampler_chain_init", POINTER, flag)(flag(True))
    steps: Iterable[tuple[str, tuple[Any, ...], tuple[Any, ...]]] = (
        ("top_k", (INT,), (TOP_K,)),
        ("top_p", (FLOAT, ctypes.c_size_t), (TOP_P, 1)),
        ("min_p", (FLOAT, ctypes.c_size_t), (MIN_P, 1)),
        ("temp", (FLOAT,), (TEMPERATURE,)),
        ("dist", (UINT,), (1,)),
    )
    add = function("llama_sampler_chain_add", None, POINTER, POINTER)
    for name, types, values in steps:
        add(chain, function(f"llama_sampler_init_{name}", POINTER, *types)(*values))
    return int(chain)
