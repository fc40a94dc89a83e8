"""The decoder as an ExecuTorch program: exported by torch, its weights kept as torchao keeps them, its arithmetic
handed to XNNPACK.

The cache is inside, as buffers that the program writes to. One call reads up to `chunk` tokens and gives the logits
after the last: the memory for everything is planned when the program is made, and logits of a whole chunk would be
most of it.

Does not know: files beside the `.pte`, the runtime.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from penjing.export.blocks import Blocks
from penjing.export.decoder.model import Decoder
from penjing.export.executorch.names import POSITION, TOKENS
from penjing.export.hush import hushed

GROUP = 32
"""Weights that share a scale at 4 bits (XNNPACK's `qb4w` kernels take multiples of 32)."""
WEIGHTS = {"8da8w": 8, "8da4w": 4}
FAINT = 1e-9
"""The scale of a block of zeros: any number but 0."""


class Last(nn.Module):
    """The norm before the head, of the last token alone."""

    def __init__(self, norm: nn.Module) -> None:
        super().__init__()
        self.norm = norm

    def forward(self, values: Tensor) -> Tensor:
        """[1, n, width] to [1, 1, width]."""
        return self.norm(values[:, -1:])


class Conversation(nn.Module):
    """The decoder with a cache of `context` tokens inside."""

    def __init__(self, decoder: Decoder, context: int) -> None:
        super().__init__()
        shape = decoder.shape
        self.decoder, self.context = decoder, context
        decoder.norm = Last(decoder.norm)
        for layer in range(shape.layers):
            for part in "kv":
                self.register_buffer(f"{part}{layer}", torch.zeros(1, shape.kv_heads, context, shape.head))

    def forward(self, tokens: Tensor, input_pos: Tensor) -> Tensor:
        """`tokens` int64 [1, n], the first of which is at `input_pos` int64 [1]; logits [1, vocabulary] after the
        last."""
        positions = torch.arange(tokens.shape[1], device=tokens.device) + input_pos

        def update(layer: int, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
            kept = []
            for part, new in (("k", k), ("v", v)):
                buffer: Tensor = getattr(self, f"{part}{layer}")
                buffer.index_copy_(2, positions, new)
                kept.append(buffer)
            return kept[0], kept[1]

        logits: Tensor = self.decoder(tokens, positions, self.context, update)
        return logits[:, 0]


def quantize(decoder: Decoder, settled: Mapping[str, Blocks]) -> None:
    """Give the matrices of `decoder` fewer bits, in place: activations are made 8 bits while the program runs (`8da`);
    weights are the numbers that `settled` has by their names, the others keep 8 bits with a scale for each row, and so
    do embeddings."""
    with hushed():
        from torchao.quantization import Int8DynamicActivationIntxWeightConfig, IntxWeightOnlyConfig, quantize_
        from torchao.quantization.granularity import PerAxis

    def whole(module: nn.Module, name: str) -> bool:
        return isinstance(module, nn.Linear) and f"{name}.weight" not in settled

    rows = Int8DynamicActivationIntxWeightConfig(weight_dtype=torch.int8, weight_granularity=PerAxis(0))
    embeddings = IntxWeightOnlyConfig(weight_dtype=torch.int8, granularity=PerAxis(0))
    with hushed():
        quantize_(decoder, rows, filter_fn=whole)
        for name, matrix in settled.items():
            _settle(decoder.get_submodule(name.removesuffix(".weight")), matrix)
        quantize_(decoder, embeddings, filter_fn=lambda module, _: isinstance(module, nn.Embedding))


def _settle(linear: nn.Module, matrix: Blocks) -> None:
    """Give `linear` the numbers of `matrix` as torchao keeps those of 4 bits with activations of 8."""
    from torchao.quantization import IntxUnpackedToInt8Tensor

    kept = IntxUnpackedToInt8Tensor.from_hp(
        matrix.weight(),
        (1, matrix.numbers.shape[2]),
        torch.int4,
        activation_quantization="int8_asym_per_token",
        intx_choose_qparams_algorithm=None,
        custom_scale=torch.where(matrix.scales == 0, FAINT, matrix.scales),
        custom_zero_point=matrix.middles,
    )
    linear.weight = nn.Parameter(kept, requires_grad=False)


def trace(decoder: Decoder, *, context: int, chunk: int) -> torch.export.ExportedProgram:
    """The program of `decoder` with a cache of `context` tokens, which reads 1 to `chunk` tokens a call."""
    example = torch.zeros(1, 2, dtype=torch.int64), torch.zeros(1, dtype=torch.int64)
    length = torch.export.Dim("length", min=1, max=chunk)
    with torch.no_grad(), hushed():
        return torch.export.export(
            Conversation(decoder, context).eval(),
            example,
            dynamic_shapes={TOKENS: {1: length}, POSITION: None},
            strict=True,
        )


def lower(program: torch.export.ExportedProgram, methods: Mapping[str, object], *, quantized: bool) -> Any:
    """`program` for XNNPACK, with constant `methods`; an object with `save(path)`."""
    with torch.no_grad(), hushed():
        from executorch.backends.xnnpack.partition.xnnpack_partitioner import (
            XnnpackDynamicallyQuantizedPartitioner,
            XnnpackPartitioner,
        )
        from executorch.exir import EdgeCompileConfig, ExecutorchBackendConfig, to_edge_transform_and_lower

        takers = [XnnpackDynamicallyQuantizedPartitioner()] if quantized else []
        edge = to_edge_transform_and_lower(
            program,
            partitioner=[*takers, XnnpackPartitioner()],
            compile_config=EdgeCompileConfig(_check_ir_validity=False),
            constant_methods=dict(methods),
        )
        return edge.to_executorch(ExecutorchBackendConfig(do_quant_fusion_and_const_prop=quantized))


def save(made: Any, output: Path) -> None:
    """Write what `lower` made to `output`."""
    with output.open("xb") as stream:
        made.write_to_file(stream)
