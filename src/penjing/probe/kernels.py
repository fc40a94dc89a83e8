"""The engine's own matrix products and attention, run alone and timed: what a calibration is made of.

Weights are laid where llama.cpp lays them: in the first buffer type of the processor that has a kernel for them
(`ggml_backend_dev_get_extra_bufts`: repacked rows), else in its usual one (llama.cpp `llama-model-loader.cpp`).

Does not know: how long to measure, what the numbers are for.
"""

from __future__ import annotations

import ctypes
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from penjing.native import log
from penjing.native.library import function
from penjing.probe.ggml import NUMBERS, row_bytes

POINTER, SIZE, INT, LONG = ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int64
ROWS = 64
"""Rows that are quantized; a matrix repeats them."""
NODES = 1 << 14
"""Operations that a graph may have."""
DESCRIPTIONS = 16 << 20
"""Bytes for the descriptions of a graph and its tensors."""


class _Room(ctypes.Structure):
    """ggml.h, `struct ggml_init_params`."""

    _fields_ = (("size", SIZE), ("buffer", POINTER), ("no_alloc", ctypes.c_bool))


@dataclass(frozen=True)
class Work:
    """A graph that is ready: `run()` computes it once and returns its seconds. One run moves `bytes` of weights (or of
    keys and values) and takes `flops` multiplications and additions."""

    run: Callable[[], float]
    bytes: int
    flops: int


class Kernels:
    """ggml's processor backend with `threads` threads. Raises LibraryMissing; use as a context manager."""

    def __init__(self, threads: int) -> None:
        log.listen()  # it has a line for every tensor
        function("ggml_cpu_init", None)()
        self._backend = function("ggml_backend_cpu_init", POINTER)()
        self.set_threads(threads)
        self._usual = int(function("ggml_backend_cpu_buffer_type", POINTER)())
        registry = function("ggml_backend_cpu_reg", POINTER)()
        self._device = function("ggml_backend_reg_dev_get", POINTER, POINTER, SIZE)(registry, 0)
        self._preferred = self._extra_types(registry)

    def __enter__(self) -> Kernels:
        return self

    def __exit__(self, *_: object) -> None:
        function("ggml_backend_free", None, POINTER)(self._backend)

    def set_threads(self, threads: int) -> None:
        """Compute with so many threads from now on."""
        function("ggml_backend_cpu_set_n_threads", None, POINTER, INT)(self._backend, threads)

    def _extra_types(self, registry: int) -> list[int]:
        """Buffer types for weights that the processor backend prefers, best first."""
        find = function("ggml_backend_reg_get_proc_address", POINTER, POINTER, ctypes.c_char_p)
        address = find(registry, b"ggml_backend_dev_get_extra_bufts")
        if not address:
            return []
        offered = ctypes.CFUNCTYPE(ctypes.POINTER(POINTER), POINTER)(address)(self._device)
        found: list[int] = []
        while offered[len(found)]:
            found.append(int(offered[len(found)] or 0))
        return found

    @contextmanager
    def product(self, kind: str, width: int, height: int, *runs: tuple[int, int]) -> Iterator[tuple[Work, ...]]:
        """Matrices [height, width] of ggml type `kind`. Each of `runs` is a pair (copies, columns): so many of them,
        each multiplied with one f32 [width, columns]."""
        with ExitStack() as stack:
            weights_room = stack.enter_context(descriptions())
            weights = [_tensor(weights_room, kind, width, height) for _ in range(max(copies for copies, _ in runs))]
            data = _rows(kind, width, height)
            stack.enter_context(_allocated(weights_room, self._home(kind, width, height)))
            for matrix in weights:
                _fill(matrix, data)
            yield tuple(
                Work(
                    stack.enter_context(self._multiplying(weights[:copies], width, columns)),
                    data.nbytes * copies,
                    2 * width * height * columns * copies,
                )
                for copies, columns in runs
            )

    @contextmanager
    def _multiplying(self, weights: list[int], width: int, columns: int) -> Iterator[Callable[[], float]]:
        """A graph of the products of each of `weights` with one matrix of `columns`."""
        with descriptions() as room:
            vector = _tensor(room, "F32", width, columns)
            multiply = function("ggml_mul_mat", POINTER, POINTER, POINTER, POINTER)
            results = [multiply(room, matrix, vector) for matrix in weights]
            with _allocated(room, self._usual):
                _fill(vector, _noise(width * columns))
                graph = _graph(room, results)
                yield lambda: self._timed(graph)

    @contextmanager
    def attention(self, head: int, heads: int, cells: int, columns: int, layers: int) -> Iterator[Work]:
        """`layers` times flash attention of `columns` tokens over `cells` cached ones: f16 keys and values of `heads`
        heads of `head` numbers, a query head for each."""
        with ExitStack() as stack:
            room = stack.enter_context(descriptions())
            caches = [[_tensor(room, "F16", head, cells, heads) for _ in "kv"] for _ in range(layers)]
            query = _tensor(room, "F32", head, columns, heads)
            mask = _tensor(room, "F16", cells, columns)
            attend = function("ggml_flash_attn_ext", POINTER, *[POINTER] * 5, *[ctypes.c_float] * 3)
            results = [attend(room, query, k, v, mask, head**-0.5, 0.0, 0.0) for k, v in caches]
            stack.enter_context(_allocated(room, self._usual))
            numbers = _noise(head * cells * heads).astype(np.float16)
            for tensor in (tensor for pair in caches for tensor in pair):
                _fill(tensor, numbers)
            _fill(query, _noise(head * columns * heads))
            _fill(mask, np.zeros(cells * columns, np.float16))
            graph = _graph(room, results)
            moved = 2 * head * cells * heads * 2 * layers
            yield Work(lambda: self._timed(graph), moved, moved * columns)

    @contextmanager
    def chain(self, operations: int, callback: object = None) -> Iterator[Work]:
        """`operations` tiny ones, each waiting for the one before: what starting and ending one takes. With a
        `callback` (ggml-backend.h, `ggml_backend_sched_eval_callback`) each is computed alone."""
        with descriptions() as room:
            value = first = _tensor(room, "F32", 32, 1)
            add = function("ggml_add", POINTER, POINTER, POINTER, POINTER)
            for _ in range(operations):
                value = add(room, value, first)
            with _allocated(room, self._usual), self._computing(callback) as compute:
                _fill(first, _noise(32))
                graph = _graph(room, [value])
                yield Work(lambda: _seconds(lambda: compute(graph)), 0, 0)

    @contextmanager
    def _computing(self, callback: object) -> Iterator[Callable[[int], None]]:
        """What computes a graph, as the engine does it under an evaluation callback where there is one."""
        if callback is None:
            compute = function("ggml_backend_graph_compute", INT, POINTER, POINTER)
            yield lambda graph: compute(self._backend, graph)
            return
        backends, types = (POINTER * 1)(self._backend), (POINTER * 1)(self._usual)
        make = function("ggml_backend_sched_new", POINTER, POINTER, POINTER, INT, SIZE, ctypes.c_bool, ctypes.c_bool)
        schedule = make(backends, types, 1, NODES, False, False)
        try:
            function("ggml_backend_sched_set_eval_callback", None, POINTER, POINTER, POINTER)(schedule, callback, None)
            compute = function("ggml_backend_sched_graph_compute", INT, POINTER, POINTER)
            yield lambda graph: compute(schedule, graph)
        finally:
            function("ggml_backend_sched_free", None, POINTER)(schedule)

    def home(self, kind: str, width: int, height: int) -> str:
        """The name of the buffer type where llama.cpp puts a matrix [height, width] of ggml type `kind`."""
        name = function("ggml_backend_buft_name", ctypes.c_char_p, POINTER)
        return str(name(self._home(kind, width, height)).decode())

    def _home(self, kind: str, width: int, height: int) -> int:
        """The buffer type itself."""
        supports = function("ggml_backend_dev_supports_op", ctypes.c_bool, POINTER, POINTER)
        for buffer_type in self._preferred:
            with descriptions() as room, descriptions() as elsewhere:  # a vector in that buffer type would be refused
                matrix, vector = _tensor(room, kind, width, height), _tensor(elsewhere, "F32", width, 1)
                result = function("ggml_mul_mat", POINTER, POINTER, POINTER, POINTER)(elsewhere, matrix, vector)
                with _allocated(room, buffer_type):
                    if supports(self._device, result):
                        return buffer_type
        return self._usual

    def _timed(self, graph: int) -> float:
        """Seconds that one computation of `graph` takes."""
        compute = function("ggml_backend_graph_compute", INT, POINTER, POINTER)
        return _seconds(lambda: compute(self._backend, graph))


def _seconds(work: Callable[[], object]) -> float:
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun


@contextmanager
def descriptions() -> Iterator[int]:
    """A context for descriptions of tensors, without their data."""
    context = function("ggml_init", POINTER, _Room)(_Room(DESCRIPTIONS, None, True))
    try:
        yield context
    finally:
        function("ggml_free", None, POINTER)(context)


@contextmanager
def _allocated(room: int, buffer_type: int) -> Iterator[None]:
    """Memory for all tensors of `room`. Raises MemoryError."""
    allocate = function("ggml_backend_alloc_ctx_tensors_from_buft", POINTER, POINTER, POINTER)
    buffer = allocate(room, buffer_type)
    if not buffer:
        raise MemoryError
    try:
        yield
    finally:
        function("ggml_backend_buffer_free", None, POINTER)(buffer)


def _tensor(room: int, kind: str, *shape: int) -> int:
    """A new tensor; `shape` in ggml's order, the row's length first."""
    lengths = (LONG * len(shape))(*shape)
    return int(
        function("ggml_new_tensor", POINTER, POINTER, INT, INT, POINTER)(room, NUMBERS[kind], len(shape), lengths)
    )


def _graph(room: int, results: list[int]) -> int:
    """The graph that computes `results`."""
    graph = function("ggml_new_graph_custom", POINTER, POINTER, SIZE, ctypes.c_bool)(room, NODES, False)
    expand = function("ggml_build_forward_expand", None, POINTER, POINTER)
    for result in results:
        expand(graph, result)
    return int(graph)


def _fill(tensor: int, data: NDArray[np.generic]) -> None:
    function("ggml_backend_tensor_set", None, POINTER, POINTER, SIZE, SIZE)(tensor, data.ctypes.data, 0, data.nbytes)


def _noise(count: int) -> NDArray[np.float32]:
    return np.random.default_rng(0).standard_normal(count, dtype=np.float32)


def _rows(kind: str, width: int, height: int) -> NDArray[np.uint8]:
    """The bytes of a matrix [height, width] of ggml type `kind`; `height` is a multiple of ROWS."""
    numbers = _noise(ROWS * width)
    coded = np.empty((ROWS, row_bytes(kind, width)), np.uint8)
    function("ggml_quantize_init", None, INT)(NUMBERS[kind])
    quantize = function("ggml_quantize_chunk", SIZE, INT, POINTER, POINTER, LONG, LONG, LONG, POINTER)
    quantize(NUMBERS[kind], numbers.ctypes.data, coded.ctypes.data, 0, ROWS, width, None)
    return np.tile(coded, (height // ROWS, 1))
