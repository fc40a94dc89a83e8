"""Fewer bits for the weights of an ONNX decoder: blocks of 32 numbers with a scale each.

At 4 bits, matrices come settled (`penjing.export.blocks`) and are packed here; the head keeps 8, as the numbers behind
every token deserve it, and so does what has no whole blocks: 8 bits are ONNX Runtime's quantizer's. The embedding has 8
always; where it is the head (tied), it lies in the file once.

Source: ONNX Runtime's contrib operators MatMulNBits and GatherBlockQuantized.

Does not know: how the graph was made, how numbers of 4 bits are chosen.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from penjing.export.blocks import Blocks
from penjing.export.onnx.graph import EMBEDDING, HEAD

if TYPE_CHECKING:
    import onnx

BLOCK = 32
INT8 = 4
"""MatMulNBits' accuracy_level: activations are rounded to 8 bits in blocks too, which is what makes it fast."""
DOMAIN = "com.microsoft"
MIDDLE = 128
"""The unsigned byte that means 0."""


def quantize(model: onnx.ModelProto, settled: Mapping[str, Blocks], *, tied: bool) -> onnx.ModelProto:
    """`model` (float32) with its products in 8 bits, or in 4 where `settled` has the matrix; `tied`: its embedding is
    its head."""
    for node in model.graph.node:
        if node.op_type == "MatMul" and node.name in settled:
            _pack(model, node, settled[node.name])
    made = _products(model)
    _embedding(made, tied=tied)
    return made


def _pack(model: onnx.ModelProto, node: onnx.NodeProto, matrix: Blocks) -> None:
    """Make `node`, a product with a matrix, one with `matrix` in 4 bits: two numbers a byte, the first in its lower
    half, each row of middles on a byte of its own."""
    from onnx import helper, numpy_helper

    weight = next(each for each in model.graph.initializer if each.name == node.input[1])
    rows, count, block = matrix.numbers.shape
    numbers, middles = (_pairs(each.numpy().astype(np.uint8)) for each in (matrix.numbers, matrix.middles))
    parts = {"numbers": numbers, "scales": matrix.scales.numpy().reshape(-1), "middles": middles.reshape(-1)}
    named = [numpy_helper.from_array(each, f"{weight.name}.{name}") for name, each in parts.items()]
    model.graph.initializer.remove(weight)
    model.graph.initializer.extend(named)
    options = {"K": count * block, "N": rows, "bits": 4, "block_size": block, "accuracy_level": INT8}
    made = helper.make_node(
        "MatMulNBits", [node.input[0], *(each.name for each in named)], list(node.output),
        name=f"{node.name}_Q4", domain=DOMAIN, **options,
    )  # fmt: skip
    node.CopyFrom(made)


def _pairs(numbers: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Numbers of 4 bits [..., n] two a byte, [..., ceil(n / 2)]."""
    even = np.concatenate([numbers, np.zeros_like(numbers[..., : numbers.shape[-1] % 2])], axis=-1)
    packed: NDArray[np.uint8] = even[..., 0::2] | even[..., 1::2] << 4
    return packed


def _products(model: onnx.ModelProto) -> onnx.ModelProto:
    from onnxruntime.quantization.matmul_nbits_quantizer import MatMulNBitsQuantizer, logger

    logger.setLevel(logging.ERROR)  # it tells of every node
    quantizer = MatMulNBitsQuantizer(model, bits=8, block_size=BLOCK, is_symmetric=True, accuracy_level=INT8)
    quantizer.process()
    made: onnx.ModelProto = quantizer.model.model
    return made


def _embedding(model: onnx.ModelProto, *, tied: bool) -> None:
    """The embedding in 8 bits: the head's own numbers where they are the same."""
    from onnx import helper, numpy_helper

    graph = model.graph
    weight = next(each for each in graph.initializer if each.name == EMBEDDING)
    lookup = next(node for node in graph.node if node.op_type == "Gather" and node.input[0] == EMBEDDING)
    rows, width = weight.dims
    head = next((node for node in graph.node if node.op_type == "MatMulNBits" and node.name.startswith(HEAD)), None)
    if tied and head is not None and width % BLOCK == 0:
        shapes = {"rows": [rows, width], "scales": [rows, width // BLOCK]}
        for (name, shape), source in zip(shapes.items(), head.input[1:3], strict=True):
            graph.initializer.append(numpy_helper.from_array(np.array(shape, np.int64), f"{EMBEDDING}.{name}.shape"))
            node = helper.make_node("Reshape", [source, f"{EMBEDDING}.{name}.shape"], [f"{EMBEDDING}.{name}"])
            graph.node.insert(0, node)
    else:
        numbers, scales = blocks(numpy_helper.to_array(weight))
        graph.initializer.append(numpy_helper.from_array(numbers, f"{EMBEDDING}.rows"))
        graph.initializer.append(numpy_helper.from_array(scales, f"{EMBEDDING}.scales"))
    graph.initializer.remove(weight)
    lookup.op_type, lookup.domain = "GatherBlockQuantized", DOMAIN
    ids = lookup.input[1]
    del lookup.input[:], lookup.attribute[:]
    lookup.input.extend([f"{EMBEDDING}.rows", ids, f"{EMBEDDING}.scales"])
    options = {"bits": 8, "block_size": BLOCK, "gather_axis": 0, "quantize_axis": 1}
    lookup.attribute.extend(helper.make_attribute(name, value) for name, value in options.items())


def blocks(weight: NDArray[np.float32]) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """Rows [n, width] in blocks of 32: unsigned bytes around MIDDLE [n, width], scales [n, ceil(width / 32)]."""
    rows, width = weight.shape
    count = -(-width // BLOCK)
    padded = np.zeros((rows, count * BLOCK), np.float32)
    padded[:, :width] = weight
    cut = padded.reshape(rows, count, BLOCK)
    scales = np.abs(cut).max(-1) / 127.0
    safe = np.where(scales == 0, 1, scales)[..., None]
    numbers = np.clip(np.rint(cut / safe) + MIDDLE, 0, 255).astype(np.uint8)
    return numbers.reshape(rows, -1)[:, :width].copy(), scales.astype(np.float32)
