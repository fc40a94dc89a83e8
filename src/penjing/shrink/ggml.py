"""ggml's own quantizer, from the shared object inside the xllamacpp wheel: no compiler, no torch.

Functions: ggml.h, `ggml_quantize_init` and `ggml_quantize_chunk`. The calls release the GIL.

Does not know: which tensor deserves which type.
"""

from __future__ import annotations

import ctypes
import functools
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from penjing.native.library import function
from penjing.probe.ggml import NUMBERS, TYPES, row_bytes

QUANTIZE = (
    ctypes.c_int,  # type
    ctypes.c_void_p,  # source, f32
    ctypes.c_void_p,  # destination
    ctypes.c_int64,  # first element
    ctypes.c_int64,  # rows
    ctypes.c_int64,  # elements per row
    ctypes.c_void_p,  # importance matrix, f32 per column, or null
)
Chunk = Callable[[int, int, int, int, int, int, int | None], int]


@functools.cache
def quantizer(number: int) -> Chunk:
    """`ggml_quantize_chunk`, made ready for ggml type `number`. Raises LibraryMissing."""
    function("ggml_quantize_init", None, ctypes.c_int)(number)
    chunk: Chunk = function("ggml_quantize_chunk", ctypes.c_size_t, *QUANTIZE)
    return chunk


def fits(kind: str, width: int) -> bool:
    """Whether rows of `width` numbers can be in type `kind`."""
    return width % TYPES[NUMBERS[kind]][1] == 0


def encode(rows: NDArray[np.float32], kind: str) -> NDArray[np.uint8]:
    """`rows` ([rows, width], f32) in ggml type `kind`, as bytes [rows, row_bytes]. Raises LibraryMissing."""
    rows = np.ascontiguousarray(rows, np.float32)
    count, width = rows.shape
    if kind == "F32":
        return rows.view(np.uint8).reshape(count, width * 4)
    if kind == "F16":
        with np.errstate(over="ignore"):  # an overflow is looked for where it can be dealt with
            return rows.astype(np.float16).view(np.uint8).reshape(count, width * 2)
    if kind == "BF16":
        return to_bf16(rows).view(np.uint8).reshape(count, width * 2)
    number = NUMBERS[kind]
    coded = np.empty((count, row_bytes(kind, width)), np.uint8)
    quantizer(number)(number, rows.ctypes.data, coded.ctypes.data, 0, count, width, None)
    return coded


def to_bf16(values: NDArray[np.float32]) -> NDArray[np.uint16]:
    """f32 to the bits of bfloat16, rounded to nearest even."""
    bits = values.view(np.uint32)
    rounded = (bits + 0x7FFF + ((bits >> 16) & 1)) >> 16
    return np.where(np.isnan(values), 0x7FC0, rounded).astype(np.uint16)


def from_bits(raw: NDArray[np.generic], kind: str) -> NDArray[np.float32]:
    """Numbers of a float type (`F64`, `F32`, `F16`, or `BF16` as u16 bits) as f32."""
    if kind == "BF16":
        return (raw.astype(np.uint32) << 16).view(np.float32)
    return raw.astype(np.float32)
