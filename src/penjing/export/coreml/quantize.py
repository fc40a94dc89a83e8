"""A program's matrices as whole numbers with a scale for each row (8 bits) or for each block of a row (4 bits).

Does not know: how a program is made.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from penjing.export.coreml.faults import NoBlocks
from penjing.export.coreml.toolbox import coremltools, quiet

BLOCKS = (32, 16, 8)
"""Weights that share a scale in 4 bits: the first that divides every row. 32 is Apple's advice for language models."""


def quantize(model: Any, bits: Mapping[str, int], widths: Iterable[int]) -> Any:
    """The program `model` with the constants that `bits` names at 8 or 4 bits; `widths` are the lengths of the rows of
    those at 4. Raises NoBlocks."""
    ct = coremltools()
    kinds: dict[int, dict[str, Any]] = {8: {"dtype": "int8", "granularity": "per_channel"}}
    if 4 in bits.values():
        kinds[4] = {"dtype": "int4", "granularity": "per_block", "block_size": block(widths)}
    configs = {
        name: ct.optimize.coreml.OpLinearQuantizerConfig(mode="linear_symmetric", weight_threshold=0, **kinds[count])
        for name, count in bits.items()
    }
    with quiet():
        config = ct.optimize.coreml.OptimizationConfig(op_name_configs=configs)
        return ct.optimize.coreml.linear_quantize_weights(model, config)


def block(widths: Iterable[int]) -> int:
    """The largest of BLOCKS that divides all `widths`. Raises NoBlocks."""
    lengths = sorted(set(widths))
    for size in BLOCKS:
        if not any(length % size for length in lengths):
            return size
    raise NoBlocks(widths=", ".join(map(str, lengths)))
