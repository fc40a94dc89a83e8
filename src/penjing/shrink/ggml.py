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

from penjing.errors import InputError
from penjing.native.library import LibraryMissing, function
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
WEIGHED = ("IQ2_XXS", "IQ2_XS", "IQ1_S")
"""Types that cannot do without weights of the columns (ggml.c, `ggml_quantize_requires_imatrix`)."""
Chunk = Callable[[int, int, int, int, int, int, int | None], int]


class ImportanceMissing(InputError):
    """Facts: `kind`."""

    template = "Type {kind} needs an importance matrix."
    hint = "Give calibration text with --text FILE, or a matrix with --imatrix FILE."
    code = "importance_missing"


@functools.cache
def quantizer(number: int) -> Chunk:
    """`ggml_quantize_chunk`, made ready for ggml type `number`. Raises LibraryMissing."""
    function("ggml_quantize_init", None, ctypes.c_int)(number)
    chunk: Chunk = function("ggml_quantize_chunk", ctypes.c_size_t, *QUANTIZE)
    return chunk


def fits(kind: str, width: int) -> bool:
    """Whether rows of `width` numbers can be in type `kind`."""
    return width % TYPES[NUMBERS[kind]][1] == 0


def encode(rows: NDArray[np.float32], kind: str, weights: NDArray[np.float32] | None = None) -> NDArray[np.uint8]:
    """`rows` ([rows, width], f32) in ggml type `kind`, as bytes [rows, row_bytes]. `weights` ([width], f32) says what
    an error in each column costs. Raises LibraryMissing, ImportanceMissing for a type that cannot do without them."""
    rows = np.ascontiguousarray(rows, np.float32)
    count, width = rows.shape
    if kind == "F32":
        return rows.view(np.uint8).reshape(count, width * 4)
    if kind == "F16":
        with np.errstate(over="ignore"):  # an overflow is looked for where it can be dealt with
            return rows.astype(np.float16).view(np.uint8).reshape(count, width * 2)
    if kind == "BF16":
        return to_bf16(rows).view(np.uint8).reshape(count, width * 2)
    if weights is None and kind in WEIGHED:
        raise ImportanceMissing(kind=kind)
    number = NUMBERS[kind]
    coded = np.empty((count, row_bytes(kind, width)), np.uint8)
    column = np.ascontiguousarray(weights, np.float32) if weights is not None else None
    at = None if column is None else column.ctypes.data
    quantizer(number)(number, rows.ctypes.data, coded.ctypes.data, 0, count, width, at)
    return coded


def decode(coded: NDArray[np.uint8], kind: str, width: int) -> NDArray[np.float32]:
    """Rows of `width` numbers as `encode` made them, f32 [rows, width]. Raises LibraryMissing."""
    if kind in ("F32", "F16", "BF16"):
        return from_bits(coded.view({"F32": np.float32, "F16": np.float16, "BF16": np.uint16}[kind]), kind)
    coded = np.ascontiguousarray(coded)
    rows = np.empty((len(coded), width), np.float32)
    decoder(NUMBERS[kind])(coded.ctypes.data, rows.ctypes.data, rows.size)
    return rows


class Traits(ctypes.Structure):
    """The head of ggml.h's `ggml_type_traits`."""

    _fields_ = (
        ("type_name", ctypes.c_char_p),
        ("blck_size", ctypes.c_int64),
        ("blck_size_interleave", ctypes.c_int64),
        ("type_size", ctypes.c_size_t),
        ("is_quantized", ctypes.c_bool),
        ("to_float", ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64)),
    )


@functools.cache
def decoder(number: int) -> Callable[[int, int, int], None]:
    """What turns blocks of ggml type `number` at one address into f32 at another. Raises LibraryMissing where the
    library's table is not laid out as this one."""
    quantizer(number)  # types of a codebook are decoded with tables that are made there
    name, block, size = TYPES[number]
    traits = function("ggml_get_type_traits", ctypes.POINTER(Traits), ctypes.c_int)(number).contents
    if (traits.blck_size, traits.type_size) != (block, size):
        raise LibraryMissing(detail=f"its type {name} is not laid out as ggml.h says")
    found: Callable[[int, int, int], None] = traits.to_float
    return found


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
