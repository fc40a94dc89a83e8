"""Which instruction sets the installed llama.cpp library was built to use: a wheel uses fewer than a machine may have.

Functions: ggml-cpu.h, `ggml_cpu_has_...`. They answer for the library as it was compiled.

Does not know: what the machine has.
"""

from __future__ import annotations

import ctypes

from penjing.native.library import LibraryMissing, function

ASKED = {
    "AVX": ("avx",),
    "AVX2": ("avx2",),
    "FMA": ("fma",),
    "F16C": ("f16c",),
    "AVX-512": ("avx512",),
    "VNNI": ("avx512_vnni", "avx_vnni"),
    "AMX": ("amx_int8",),
    "NEON": ("neon",),
    "dotprod": ("dotprod",),
    "i8mm": ("matmul_int8",),
    "SVE": ("sve",),
    "SME": ("sme",),
    "FP16": ("fp16_va",),
    "BF16": ("avx512_bf16",),
    "RVV": ("riscv_v",),
}
"""Our names (`instructions.MEANS`) to the library's."""


def used() -> tuple[str, ...]:
    """The instruction sets the library uses, in our names; none where it is not installed."""
    try:
        return tuple(name for name, words in ASKED.items() if any(_has(word) for word in words))
    except LibraryMissing:
        return ()


def _has(word: str) -> bool:
    return bool(function(f"ggml_cpu_has_{word}", ctypes.c_int)())
