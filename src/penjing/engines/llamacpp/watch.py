"""Every operation of a graph while llama.cpp computes it: what it is, when it began, when it ended.

Under an evaluation callback the library computes one operation at a time (ggml-backend.cpp,
`ggml_backend_sched_compute_splits`), asks before it and tells after it.

Source: ggml.h, `struct ggml_tensor`. That this is how the library lays it out is checked by the place of the name.

Does not know: models, what the times are for.
"""

from __future__ import annotations

import ctypes
import re
import time
from dataclasses import dataclass
from typing import Any

from penjing.engines.llamacpp.direct import Callback
from penjing.native.library import LibraryMissing, function, library_version
from penjing.probe.kernels import descriptions

DIMENSIONS, SOURCES, PARAMS, NAME = 4, 10, 16, 64
"""ggml.h: GGML_MAX_DIMS, GGML_MAX_SRC, GGML_MAX_OP_PARAMS / 4, GGML_MAX_NAME."""
EMPTY = {"NONE", "VIEW", "RESHAPE", "PERMUTE", "TRANSPOSE"}
"""Operations that compute nothing: they only say how numbers are to be read."""
LAYER = re.compile(r"blk\.(\d+)\.|-(\d+)(?: \(|$)|cache_[a-z]+_l(\d+)")
WEIGHTS = (".weight", ".bias", ".lora_a", ".lora_b")
"""How the names of weights end; those of adapters are behind the name of what they adapt."""
NAMELESS = re.compile(r"node_\d+$| ")
"""The library's own names for what its model code gives none."""
POINTER = ctypes.c_void_p


class _Tensor(ctypes.Structure):
    _fields_ = (
        ("type", ctypes.c_int),
        ("buffer", POINTER),
        ("shape", ctypes.c_int64 * DIMENSIONS),
        ("strides", ctypes.c_size_t * DIMENSIONS),
        ("op", ctypes.c_int),
        ("params", ctypes.c_int32 * PARAMS),
        ("flags", ctypes.c_int32),
        ("sources", POINTER * SOURCES),
        ("view_of", POINTER),
        ("view_at", ctypes.c_size_t),
        ("data", POINTER),
        ("name", ctypes.c_char * NAME),
    )


class _Plan(ctypes.Structure):
    """ggml-cpu.h, `struct ggml_cplan`; `rest` is more than the library has after these."""

    _fields_ = (("size", ctypes.c_size_t), ("data", POINTER), ("threads", ctypes.c_int), ("rest", ctypes.c_uint8 * 128))


@dataclass(frozen=True)
class Operation:
    """`op` in ggml's word (`MUL_MAT`, `GLU/SWIGLU`), `name` of its result, `inputs` the names of what goes in, `types`
    theirs and the result's. `layer` is None outside of layers. `bytes` of weights, keys and values are read at least,
    and `flops` multiplications and additions done; 0 where that says little. `parallel`: the processor would compute it
    with more than one thread where it has some."""

    op: str
    name: str
    inputs: tuple[str, ...]
    types: tuple[str, ...]
    layer: int | None
    flops: int
    bytes: int
    parallel: bool

    @property
    def empty(self) -> bool:
        """Whether nothing is computed."""
        return self.op in EMPTY

    @property
    def weight(self) -> str:
        """The name of the weights that go in, without their layer (`attn_q`, `attn_q.lora_a`); empty where
        none do."""
        found = next((name for name in self.inputs if name.endswith(WEIGHTS)), "")
        return re.sub(r"^blk\.\d+\.|\.(weight|bias)(?=$|\.lora_)", "", found)


class Watch:
    """An evaluation callback and what it saw. `times` in ns, two for each operation: before and after. With `describe`
    set, `operations` grows by one each time."""

    def __init__(self) -> None:
        self.times: list[int] = []
        self.operations: list[Operation] = []
        self.describe = False
        self.callback = Callback(self._seen)

    def _seen(self, tensor: int, before: bool, data: object) -> bool:
        if not before:
            self.times.append(time.perf_counter_ns())
            return True
        if self.describe:
            self.operations.append(described(tensor))
        self.times.append(time.perf_counter_ns())
        return True


def described(address: int) -> Operation:
    """The operation that makes the tensor at `address`. Raises LibraryMissing where tensors look different."""
    tensor = _Tensor.from_address(address)
    if function("ggml_get_name", POINTER, POINTER)(address) != address + _Tensor.name.offset:
        raise LibraryMissing(detail=f"its tensors (version {library_version()}) are laid out in another way")
    sources = [_Tensor.from_address(source) for source in tensor.sources if source]
    op = _text("ggml_op_name", ctypes.c_int, tensor.op)
    if op in ("UNARY", "GLU"):
        op += "/" + _text("ggml_op_desc", POINTER, address)
    names = tuple(source.name.decode(errors="replace") for source in sources)
    name = tensor.name.decode(errors="replace")
    flops, moved = _work(op, tensor, sources)
    telling = (name, *(each for each in names if NAMELESS.match(name) or each.startswith("blk.")))
    return Operation(
        op, name, names, tuple(map(_kind, (*sources, tensor))), _layer(*telling), flops, moved, _parallel(address)
    )


def _parallel(address: int) -> bool:
    """What the processor's own plan for a graph of this one operation says (ggml-cpu.h, `ggml_graph_plan`)."""
    with descriptions() as place:
        graph = function("ggml_new_graph_custom", POINTER, POINTER, ctypes.c_size_t, ctypes.c_bool)(place, 1, False)
        function("ggml_graph_add_node", None, POINTER, POINTER)(graph, address)
        plan = function("ggml_graph_plan", _Plan, POINTER, ctypes.c_int, POINTER)(graph, 2, None)
    return bool(plan.threads > 1)


def _work(op: str, result: Any, sources: list[Any]) -> tuple[int, int]:
    """FLOPs and bytes read of those operations that have many."""
    if op == "MUL_MAT":
        return 2 * sources[0].shape[0] * _count(result), _bytes(sources[0])
    if op == "MUL_MAT_ID":  # of all experts those that were chosen
        experts, chosen = sources[0].shape[2], _count(sources[2])
        return 2 * sources[0].shape[0] * _count(result), _bytes(sources[0]) * min(experts, chosen) // experts
    if op == "FLASH_ATTN_EXT":
        query, keys, values = sources[:3]
        return 2 * _count(query) * keys.shape[1] * 2, _bytes(keys) + _bytes(values)
    return 0, 0


def _count(tensor: Any) -> int:
    count = 1
    for length in tensor.shape:
        count *= length
    return count


def _bytes(tensor: Any) -> int:
    """Of the numbers that it shows, as they are stored."""
    block = function("ggml_blck_size", ctypes.c_int64, ctypes.c_int)(tensor.type)
    return int(_count(tensor) // block * function("ggml_type_size", ctypes.c_size_t, ctypes.c_int)(tensor.type))


def _kind(tensor: Any) -> str:
    return _text("ggml_type_name", ctypes.c_int, tensor.type).upper()


def _text(name: str, kind: Any, value: int) -> str:
    return str(function(name, ctypes.c_char_p, kind)(value).decode())


def _layer(*names: str) -> int | None:
    """The layer that the first telling name tells.

    >>> _layer("Qcur-3 (reshaped)"), _layer("result_norm"), _layer("x", "blk.12.attn_q.weight")
    (3, None, 12)
    """
    for name in names:
        found = LAYER.search(name)
        if found:
            return int(next(group for group in found.groups() if group is not None))
    return None
