"""A tensor of the library's graph, seen while it is computed: what it is, and its numbers.

Source: ggml.h, `struct ggml_tensor`. That this is how the library lays it out is checked by the place of the name.

Does not know: what graph it belongs to.
"""

from __future__ import annotations

import ctypes
import functools
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from penjing.native.faults import LayoutUnknown, WrongUse
from penjing.native.library import function, library_version

DIMENSIONS, SOURCES, PARAMS, NAME = 4, 10, 16, 64
"""ggml.h: GGML_MAX_DIMS, GGML_MAX_SRC, GGML_MAX_OP_PARAMS / 4, GGML_MAX_NAME."""
POINTER = ctypes.c_void_p
DTYPES: dict[str, Any] = {
    "F64": np.float64,
    "F32": np.float32,
    "F16": np.float16,
    "I8": np.int8,
    "I16": np.int16,
    "I32": np.int32,
    "I64": np.int64,
    "BF16": np.uint16,  # numpy has none: its bits
}


class Layout(ctypes.Structure):
    """ggml.h, `struct ggml_tensor`."""

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


class Tensor:
    """The tensor at `address`; valid while the callback runs that was given it. Raises LayoutUnknown."""

    __slots__ = ("_it", "address")

    def __init__(self, address: int) -> None:
        checked(address)
        self.address = address
        self._it: Any = Layout.from_address(address)

    @property
    def name(self) -> str:
        """Its name (`blk.3.attn_q.weight`, `Qcur-3`, `ffn_inp-0 (view)`)."""
        return str(self._it.name.decode(errors="replace"))

    @property
    def op(self) -> str:
        """The operation that makes it in ggml's word: `MUL_MAT`, `UNARY/SILU`, `NONE` for what is given."""
        return op_name(self.address, self._it.op)

    @property
    def type(self) -> str:
        """Its ggml type: `F32`, `Q4_K`."""
        return type_name(self._it.type)

    @property
    def shape(self) -> tuple[int, ...]:
        """All four lengths in ggml's order: the row's length first."""
        return tuple(self._it.shape)

    @property
    def strides(self) -> tuple[int, ...]:
        """Bytes from one to the next along each of `shape`."""
        return tuple(self._it.strides)

    @property
    def sources(self) -> tuple[Tensor, ...]:
        """What it is computed from; for MUL_MAT the weights, then the activations."""
        return tuple(Tensor(source) for source in self._it.sources if source)

    @property
    def count(self) -> int:
        """How many numbers it shows."""
        count = 1
        for length in self._it.shape:
            count *= length
        return count

    @property
    def nbytes(self) -> int:
        """Bytes of the numbers that it shows, as they are stored."""
        block, size = type_size(self._it.type)
        return self.count // block * size

    def numbers(self) -> NDArray[np.generic]:
        """A copy of its numbers, shape [ne3, ne2, ne1, ne0] (numpy's order, the row last), in its own type; BF16 as
        u16 bits. Works for tensors on a GPU. Raises WrongUse for quantized ones and those without memory."""
        if self.type not in DTYPES:
            raise WrongUse(detail=f"{self.name} is {self.type}, which has no numbers to read")
        if not self._it.data:
            raise WrongUse(detail=f"{self.name} has no memory yet")
        return self._seen(self._raw())

    def put(self, numbers: NDArray[np.generic]) -> None:
        """`numbers` [ne3, ne2, ne1, ne0] in the place of its own. Raises WrongUse for quantized ones, those without
        memory, and another shape or type."""
        wanted = (self.shape[::-1], np.dtype(DTYPES.get(self.type, object)))
        if (numbers.shape, numbers.dtype) != wanted:
            raise WrongUse(detail=f"{self.name} is {wanted[1]} {wanted[0]}, not {numbers.dtype} {numbers.shape}")
        if not self._it.data:
            raise WrongUse(detail=f"{self.name} has no memory yet")
        raw = self._raw()  # a view of others' numbers has gaps
        self._seen(raw)[...] = numbers
        write()(self.address, raw.ctypes.data, 0, len(raw))

    def _raw(self) -> NDArray[np.uint8]:
        raw = np.empty(function("ggml_nbytes", ctypes.c_size_t, POINTER)(self.address), np.uint8)
        read()(self.address, raw.ctypes.data, 0, len(raw))
        return raw

    def _seen(self, raw: NDArray[np.uint8]) -> NDArray[np.generic]:
        return np.ndarray(self.shape[::-1], DTYPES[self.type], raw, strides=self.strides[::-1])


@functools.cache
def read() -> Callable[[int, int, int, int], None]:
    """`ggml_backend_tensor_get(tensor, data, offset, size)`."""
    found: Callable[[int, int, int, int], None] = function(
        "ggml_backend_tensor_get", None, POINTER, POINTER, ctypes.c_size_t, ctypes.c_size_t
    )
    return found


@functools.cache
def write() -> Callable[[int, int, int, int], None]:
    """`ggml_backend_tensor_set(tensor, data, offset, size)`."""
    found: Callable[[int, int, int, int], None] = function(
        "ggml_backend_tensor_set", None, POINTER, POINTER, ctypes.c_size_t, ctypes.c_size_t
    )
    return found


_checked = False


def checked(address: int) -> None:
    """Raises LayoutUnknown where the tensor at `address` is laid out in another way; looked at once."""
    global _checked
    if _checked:
        return
    if function("ggml_get_name", POINTER, POINTER)(address) != address + Layout.name.offset:
        raise LayoutUnknown(structure="ggml_tensor", field="name", version=library_version())
    _checked = True


@functools.cache
def type_name(number: int) -> str:
    """The ggml type of that number (`Q8_0`)."""
    return text("ggml_type_name", ctypes.c_int, number).upper()


@functools.cache
def type_size(number: int) -> tuple[int, int]:
    """Numbers and bytes of a block of that ggml type."""
    block = function("ggml_blck_size", ctypes.c_int64, ctypes.c_int)(number)
    return int(block), int(function("ggml_type_size", ctypes.c_size_t, ctypes.c_int)(number))


@functools.cache
def plain_op(number: int) -> str:
    """The ggml operation of that number."""
    return text("ggml_op_name", ctypes.c_int, number)


def op_name(address: int, number: int) -> str:
    """The operation that makes the tensor at `address`, with the kind of a UNARY or GLU."""
    plain = plain_op(number)
    return f"{plain}/{text('ggml_op_desc', POINTER, address)}" if plain in ("UNARY", "GLU") else plain


def text(name: str, kind: Any, value: int) -> str:
    """What the C function `name` says of `value`."""
    return str(function(name, ctypes.c_char_p, kind)(value).decode())
