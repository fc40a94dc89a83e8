"""Which instruction sets that matter to a language model a processor offers.

Sources: x86 flags of `/proc/cpuinfo` (Linux `arch/x86/include/asm/cpufeatures.h`), Arm hardware capabilities (Linux
`Documentation/arch/arm64/elf_hwcaps.rst`), macOS `sysctl hw.optional` (Apple, "Determining instruction set
characteristics").

Does not know: what a library makes of them (see `offered`).
"""

from __future__ import annotations

from collections.abc import Iterable

MEANS: dict[str, frozenset[str]] = {
    "AVX": frozenset({"avx", "avx1_0", "avx1.0"}),
    "AVX2": frozenset({"avx2", "avx2_0"}),
    "FMA": frozenset({"fma"}),
    "F16C": frozenset({"f16c"}),
    "AVX-512": frozenset({"avx512f"}),
    "VNNI": frozenset({"avx512_vnni", "avx512vnni", "avx_vnni"}),
    "AMX": frozenset({"amx_int8"}),
    "NEON": frozenset({"asimd", "neon", "advsimd"}),
    "dotprod": frozenset({"asimddp", "feat_dotprod"}),
    "i8mm": frozenset({"i8mm", "feat_i8mm"}),
    "SVE": frozenset({"sve"}),
    "SVE2": frozenset({"sve2"}),
    "SME": frozenset({"sme", "feat_sme"}),
    "RVV": frozenset({"rvv"}),
    "FP16": frozenset({"asimdhp", "avx512_fp16", "feat_fp16", "neon_fp16"}),
    "BF16": frozenset({"avx512_bf16", "avx512bf16", "bf16", "feat_bf16"}),
}
"""Our name to the words that systems have for it, in the order they are shown."""


def offered(features: Iterable[str]) -> tuple[str, ...]:
    """The names of MEANS whose words are among `features` (lower case).

    >>> offered({"fpu", "avx2", "avx512f", "amx_int8"})
    ('AVX2', 'AVX-512', 'AMX')
    """
    present = frozenset(features)
    return tuple(name for name, words in MEANS.items() if words & present)
