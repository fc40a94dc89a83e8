"""Fewer bits for a `.tflite`'s weights, by Google's ai-edge-quantizer. Activations stay float32 between operators and
become 8 bits inside the matrix products (dynamic range).

`int8`: a scale for each row. `int4`: a scale for every BLOCK weights of a row, which come settled on its grid
(`penjing.export.blocks`) and are found there again; embeddings keep 8 bits, since a lookup has no blocks.

Does not know: what the model computes.
"""

from __future__ import annotations

from pathlib import Path

from penjing.export.hush import hushed

PRECISIONS = {"int8": 8, "int4": 4}
BLOCK = 32


def quantize(source: Path, output: Path, precision: str) -> None:
    """Write the model at `source` (float32) with weights in `precision` to `output`."""
    with hushed():
        from ai_edge_quantizer import quantizer
        from ai_edge_quantizer.qtyping import QuantGranularity, TFLOperationName

        made = quantizer.Quantizer(str(source))
        made.add_dynamic_config(".*", TFLOperationName.EMBEDDING_LOOKUP, 8)
        blocks = QuantGranularity.BLOCKWISE_32 if precision == "int4" else QuantGranularity.CHANNELWISE
        made.add_dynamic_config(".*", TFLOperationName.FULLY_CONNECTED, PRECISIONS[precision], blocks)
        made.quantize().export_model(str(output))
