"""Every operation of a graph while llama.cpp computes it: what it is, when it began, when it ended.

Under an evaluation callback the library computes one operation at a time (ggml-backend.cpp,
`ggml_backend_sched_compute_splits`), asks before it and tells after it.

Does not know: models, what the times are for.
"""

from __future__ import annotations

import ctypes
import re
import time
from dataclasses import dataclass

from penjing.native.context import Callback
from penjing.native.library import function
from penjing.native.tensor import Tensor
from penjing.probe.kernels import descriptions

EMPTY = {"NONE", "VIEW", "RESHAPE", "PERMUTE", "TRANSPOSE"}
"""Operations that compute nothing: they only say how numbers are to be read."""
LAYER = re.compile(r"blk\.(\d+)\.|-(\d+)(?: \(|$)|cache_[a-z]+_l(\d+)")
WEIGHTS = (".weight", ".bias", ".lora_a", ".lora_b")
"""How the names of weights end; those of adapters are behind the name of what they adapt."""
NAMELESS = re.compile(r"node_\d+$| ")
"""The library's own names for what its model code gives none."""
POINTER = ctypes.c_void_p


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
    """The operation that makes the tensor at `address`. Raises LayoutUnknown where tensors look different."""
    tensor = Tensor(address)
    sources = tensor.sources
    op, names, name = tensor.op, tuple(source.name for source in sources), tensor.name
    flops, moved = _work(op, tensor, sources)
    telling = (name, *(each for each in names if NAMELESS.match(name) or each.startswith("blk.")))
    types = tuple(one.type for one in (*sources, tensor))
    return Operation(op, name, names, types, _layer(*telling), flops, moved, _parallel(address))


def _parallel(address: int) -> bool:
    """What the processor's own plan for a graph of this one operation says (ggml-cpu.h, `ggml_graph_plan`)."""
    with descriptions() as place:
        graph = function("ggml_new_graph_custom", POINTER, POINTER, ctypes.c_size_t, ctypes.c_bool)(place, 1, False)
        function("ggml_graph_add_node", None, POINTER, POINTER)(graph, address)
        plan = function("ggml_graph_plan", _Plan, POINTER, ctypes.c_int, POINTER)(graph, 2, None)
    return bool(plan.threads > 1)


def _work(op: str, result: Tensor, sources: tuple[Tensor, ...]) -> tuple[int, int]:
    """FLOPs and bytes read of those operations that have many."""
    if op == "MUL_MAT":
        return 2 * sources[0].shape[0] * result.count, sources[0].nbytes
    if op == "MUL_MAT_ID":  # of all experts those that were chosen
        experts, chosen = sources[0].shape[2], sources[2].count
        return 2 * sources[0].shape[0] * result.count, sources[0].nbytes * min(experts, chosen) // experts
    if op == "FLASH_ATTN_EXT":
        query, keys, values = sources[:3]
        return 2 * query.count * keys.shape[1] * 2, keys.nbytes + values.nbytes
    return 0, 0


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
