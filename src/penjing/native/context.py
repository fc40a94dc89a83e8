"""Sequences of tokens computed with a `Model`: their KV cache, batches, logits.

Does not know: sampling, text, who waits for what.
"""

from __future__ import annotations

import ctypes
import os
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from penjing.native import log
from penjing.native.batch import Batch
from penjing.native.calls import call
from penjing.native.faults import Aborted, CacheFull, DecodeFailed, LoadFailed, WrongUse
from penjing.native.layout import FLAG, FLOAT, POINTER, known
from penjing.native.memory import Memory
from penjing.native.model import Adapter, Model, as_floats
from penjing.native.tensor import Tensor

TYPES = {"f32": 0, "f16": 1, "bf16": 30, "q8_0": 8, "q4_0": 2, "q4_1": 3, "iq4_nl": 20, "q5_0": 6, "q5_1": 7}
"""ggml.h, `ggml_type`: what a KV cache may be made of."""
FLASH = {"auto": -1, "off": 0, "on": 1}
"""llama.h, `llama_flash_attn_type`."""
POOLING = {"": -1, "none": 0, "mean": 1, "cls": 2, "last": 3, "rank": 4}
"""llama.h, `llama_pooling_type`; empty for the model's own."""
LINEAR = 1
"""llama.h, LLAMA_ROPE_SCALING_TYPE_LINEAR."""
MOST_SEQUENCES = 256
"""llama.cpp src/llama-cparams.h, LLAMA_MAX_SEQ."""
FULL, ABORTED = 1, 2
"""llama.h, `llama_decode`: results that are no faults."""

C = ctypes.cdll.msvcrt if sys.platform == "win32" else ctypes.CDLL(None)
"""The system's C library."""

Watcher = Callable[[Tensor, bool], bool]
"""Asked twice for each operation: with True before it is computed (answer: tell me afterwards), with False when its
numbers are there (answer: go on)."""
Callback = ctypes.CFUNCTYPE(FLAG, POINTER, FLAG, POINTER)
"""ggml-backend.h, `ggml_backend_sched_eval_callback`: tensor, whether it is still to be computed, user's data."""


class Context:
    """`tokens` of KV cache for `sequences` conversations with `model`.

    `unified`: all sequences share the whole cache, and a prefix that several have is in it once; otherwise each has
    its part. `threads` for decoding and prefill (`set_threads` changes them); `batch` tokens are taken by `decode` at
    most, `ubatch` of them computed at once. `kv_type`, `value_type`: keys of TYPES. `embeddings`: the result is
    embeddings, `pooling` (of POOLING) says of what. `watcher` sees each operation; a ctypes `callback` in its place is
    called by the library itself, with nothing in between, and must not raise. Use as a context manager, from one thread
    at a time: others wait. Raises WrongUse, LoadFailed where the library will not make it (no memory)."""

    def __init__(
        self,
        model: Model,
        tokens: int,
        sequences: int = 1,
        *,
        threads: int | None = None,
        batch: int = 2048,
        ubatch: int = 512,
        kv_type: str = "f16",
        value_type: str | None = None,
        flash: str = "auto",
        unified: bool = True,
        full_window: bool = False,
        rope_scale: float = 1.0,
        embeddings: bool = False,
        pooling: str = "",
        watcher: Watcher | None = None,
        callback: Any = None,
    ) -> None:
        self.model, self._watcher = model, watcher
        self._raised: BaseException | None = None
        self._address: int | None = None
        self._lock, self._computing = threading.RLock(), False
        self._outputs = 0
        self._stop = ctypes.create_string_buffer(2)
        _require_sizes(tokens, sequences, batch, ubatch)
        library = known()
        params = library.context_params()
        params.ctx, params.seq_max, params.unified = tokens, sequences, unified
        params.batch, params.ubatch = min(batch, tokens), min(ubatch, batch, tokens)
        count = threads or os.cpu_count() or 1
        params.threads = params.threads_batch = count
        params.type_k, params.type_v = self._type(kv_type), self._type(value_type or kv_type)
        params.flash, params.pooling = self._named(flash, FLASH), self._named(pooling, POOLING)
        params.swa_full, params.embeddings = full_window, embeddings
        if rope_scale != 1:
            params.rope_scaling, params.rope_scale = LINEAR, 1 / rope_scale
        self._callback = callback or Callback(self._seen)
        if watcher is not None or callback is not None:
            params.callback = ctypes.cast(self._callback, POINTER)
        self._stoppable(params)
        log.forget()
        address = library.new_context(model.address, params)
        if not address:
            raise LoadFailed(path=model.path, detail=log.complaint())
        self._address = address
        model.hold(self._address)
        self._read_facts(unified)

    def _stoppable(self, params: Any) -> None:
        """The library asks "shall I stop?" from its own threads, often. strlen of a text that is empty says no and of
        one that is not says yes, without ever taking Python's lock."""
        params.abort = ctypes.cast(C.strlen, POINTER)
        params.abort_data = ctypes.addressof(self._stop)

    @staticmethod
    def _named(name: str, table: dict[str, int]) -> int:
        if name not in table:
            raise WrongUse(detail=f"{name!r} is none of {', '.join(filter(None, table))}")
        return table[name]

    def _type(self, name: str) -> int:
        return self._named(name.lower(), TYPES)

    def _read_facts(self, unified: bool) -> None:
        address = self._address
        self.tokens = int(call("llama_n_ctx")(address))
        self.tokens_each = int(call("llama_n_ctx_seq")(address))
        self.batch_size = int(call("llama_n_batch")(address))
        self.ubatch_size = int(call("llama_n_ubatch")(address))
        self.sequences = int(call("llama_n_seq_max")(address))
        memory = call("llama_get_memory")(address)
        self._memory = Memory(self, int(memory), unified) if memory else None
        self._decode = call("llama_decode")

    def __enter__(self) -> Context:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __del__(self) -> None:
        self.close()

    def close(self) -> None:
        """Free it, after what is being computed; a second time does nothing. Raises WrongUse within its watcher."""
        if getattr(self, "_address", None) is None:
            return
        with self._lock:
            if self._computing:
                raise WrongUse(detail="the context is computing: its watcher must not close it")
            address, self._address = self._address, None
            if address is not None:
                self.model.release(address)
        self._watcher = self._callback = None  # a circle, in which all lived on that a watcher has gathered

    @property
    def address(self) -> int:
        """Where the library has it. Raises WrongUse once it or its model is closed."""
        self.model.address  # noqa: B018  raises
        if self._address is None:
            raise WrongUse(detail="the context is closed")
        return self._address

    @contextmanager
    def alone(self) -> Iterator[int]:
        """Its address, while no other thread uses it. Raises WrongUse once it is closed, and within its watcher."""
        with self._lock:
            if self._computing:
                raise WrongUse(detail="the context is computing: its watcher must not use it")
            yield self.address

    @property
    def remembers(self) -> bool:
        """Whether it has a KV cache; encoders have none."""
        return self._memory is not None

    @property
    def memory(self) -> Memory:
        """Its KV cache. Raises WrongUse where the model has none."""
        if self._memory is None:
            raise WrongUse(detail=f"{self.model.path.name} keeps nothing of a sequence")
        return self._memory

    def decode(self, batch: Batch) -> None:
        """Compute `batch`. Raises WrongUse, CacheFull (nothing was computed), Aborted, DecodeFailed, and what the
        watcher raised."""
        batch.check(self.model.vocabulary_size, self.sequences, self.batch_size)
        with self.alone() as address:
            log.forget()
            self._computing, self._raised, self._outputs = True, None, 0
            try:
                status = self._decode(address, batch.structure())
                call("llama_synchronize")(address)
            finally:
                self._computing = False
                self._stop[0] = b"\0"
            if self._raised is not None:
                raise self._raised
            if status == FULL:
                raise CacheFull(tokens=len(batch), room=self.tokens)
            if status == ABORTED:
                raise Aborted
            if status:
                raise DecodeFailed(detail=log.complaint())
            self._outputs = batch.outputs

    def compute(self, tokens: Sequence[int], *, sequence: int = 0, everything: bool = False) -> NDArray[np.float32]:
        """`tokens` from the beginning of an empty `sequence`: the logits of the last, or of all with `everything`
        (f32 [1 or len(tokens), vocabulary]), in batches as large as the context takes. What `sequence` had is
        forgotten. Raises as `decode`."""
        self.memory.remove(sequence)
        batch = Batch(min(len(tokens), self.batch_size) or 1)
        found: list[NDArray[np.float32]] = []
        for start in range(0, len(tokens), batch.capacity):
            piece = tokens[start : start + batch.capacity]
            batch.clear()
            batch.extend(piece, start, sequence, wanted=everything)
            if start + len(piece) == len(tokens):
                batch.wanted[len(piece) - 1] = True
            self.decode(batch)
            if self._outputs:
                found.append(self.logits().copy())
        if not found:
            raise WrongUse(detail="no tokens")
        return np.concatenate(found)

    def logits(self) -> NDArray[np.float32]:
        """Of each token of the last batch that was wanted, in its order: f32 [wanted, vocabulary]. A view, which the
        next `decode` overwrites. Raises WrongUse."""
        with self.alone() as address:
            width = self.model.vocabulary_size
            if not self._outputs:
                return np.empty((0, width), np.float32)
            found = call("llama_get_logits")(address)
            if not found:
                raise WrongUse(detail="this context computes embeddings")
            return as_floats(found, self._outputs, width)

    def embeddings(self) -> NDArray[np.float32]:
        """Of each token of the last batch that was wanted: f32 [wanted, width], a view. Raises WrongUse where the
        context was not made for them, or pools them (`pooled`)."""
        with self.alone() as address:
            found = call("llama_get_embeddings")(address)
            if not found:
                raise WrongUse(detail="no embeddings of single tokens")
            return as_floats(found, self._outputs, self.model.width)

    def pooled(self, sequence: int, width: int | None = None) -> NDArray[np.float32]:
        """The embedding of a whole sequence of the last batch: f32 [width], a view; the model's `width` where not
        given, which is not what models have that rank. Raises WrongUse."""
        with self.alone() as address:
            found = call("llama_get_embeddings_seq")(address, sequence) if 0 <= sequence < self.sequences else None
            if not found:
                raise WrongUse(detail=f"no embedding of sequence {sequence}")
            return as_floats(found, 1, width or self.model.width).reshape(-1)

    def set_threads(self, decode: int, prefill: int | None = None) -> None:
        """Compute single tokens and longer batches with so many threads from now on; costs nothing."""
        if decode < 1 or (prefill is not None and prefill < 1):
            raise WrongUse(detail=f"{decode} and {prefill} threads")
        with self.alone() as address:
            call("llama_set_n_threads")(address, decode, prefill or decode)

    def stop(self) -> None:
        """Let the running `decode` end with Aborted, from any thread; without one, the next."""
        self._stop[0] = b"\1"

    def adapt(self, adapters: Sequence[tuple[Adapter, float]]) -> None:
        """Compute with these LoRA adapters and weights from now on; none: with the model alone. Raises WrongUse for
        those of another model."""
        if any(adapter.model is not self.model for adapter, _ in adapters):
            raise WrongUse(detail="an adapter of another model")
        places = (POINTER * len(adapters))(*(adapter.address for adapter, _ in adapters))
        weights = (FLOAT * len(adapters))(*(weight for _, weight in adapters))
        with self.alone() as address:
            if call("llama_set_adapters_lora")(address, places, len(adapters), weights):
                raise WrongUse(detail="these adapters cannot be used together")

    def _seen(self, tensor: int, before: bool, data: object) -> bool:
        watcher: Any = self._watcher
        if self._raised is not None:
            return False
        try:
            return bool(watcher(Tensor(tensor), before))
        except BaseException as error:  # nothing may pass through the library; `decode` raises it
            self._raised = error
            return False


def _require_sizes(tokens: int, sequences: int, batch: int, ubatch: int) -> None:
    """Raises WrongUse for those that no context can have."""
    if not 1 <= sequences <= MOST_SEQUENCES:
        raise WrongUse(detail=f"{sequences} sequences; 1 to {MOST_SEQUENCES} are possible")
    if tokens < 1 or batch < 1 or ubatch < 1:
        raise WrongUse(detail=f"a context of {tokens} tokens with batches of {batch} and {ubatch}")
