"""The decoder as a `.tflite` in float32, by Google's litert-torch.

Two signatures share the weights. `prefill_N` reads N tokens and returns the cache alone; `decode` reads one and returns
logits too. New keys and values are written to the slots that begin at the first of `input_pos`: LiteRT-LM fills a short
chunk up with positions of 0, whose keys must not land in slot 0.

Does not know: quantization, bundles.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from penjing.export.decoder.model import Decoder
from penjing.export.hush import hushed
from penjing.export.litert.faults import NoBlocks
from penjing.export.litert.names import DECODE, KEYS, LOGITS, POSITIONS, PREFILL, TOKENS, VALUES

FAINT = 1e-6
"""A weight whose scale at 4 bits (a seventh of it) is still a number above 0 as float16."""


class Signature(nn.Module):
    """The decoder with a cache of `context` tokens that goes in and comes out by name: `kv_cache_k_I` and
    `kv_cache_v_I`, float32 [1, kv_heads, context, head]."""

    def __init__(self, decoder: Decoder, context: int, *, logits: bool) -> None:
        super().__init__()
        self.decoder, self.context, self.logits = decoder, context, logits

    def forward(self, tokens: Tensor, input_pos: Tensor, **cache: Tensor) -> dict[str, Tensor]:
        """`tokens` int32 [1, n] at `input_pos` int32 [n]."""
        from litert_torch.generative.custom_ops.dynamic_update_slice import dynamic_update_slice as put

        kept: dict[str, Tensor] = {}
        zero = torch.zeros((), dtype=input_pos.dtype)
        start = [zero, zero, input_pos[0], zero]

        def update(layer: int, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
            names = f"{KEYS}{layer}", f"{VALUES}{layer}"
            for name, new in zip(names, (k, v), strict=True):
                kept[name] = put(cache[name], new, start)
            return kept[names[0]], kept[names[1]]

        logits = self.decoder(tokens, input_pos, self.context, update)
        return {LOGITS: logits, **kept} if self.logits else kept

    def example(self, n: int) -> dict[str, Tensor]:
        """Inputs for `n` tokens; every cache is a tensor of its own, or the exporter would make them one input."""
        shape = self.decoder.shape
        size = (1, shape.kv_heads, self.context, shape.head)
        empty = {f"{prefix}{layer}": torch.zeros(size) for prefix in (KEYS, VALUES) for layer in range(shape.layers)}
        positions = torch.arange(n, dtype=torch.int32)
        return {TOKENS: torch.zeros(1, n, dtype=torch.int32), POSITIONS: positions, **empty}


def require_blocks(decoder: Decoder, model: Path, block: int) -> None:
    """Raises NoBlocks where a row of a matrix is not whole blocks long."""
    widths = {each.in_features for each in decoder.modules() if isinstance(each, nn.Linear)}
    broken = sorted(width for width in widths if width % block)
    if broken:
        raise NoBlocks(path=str(model), widths=", ".join(map(str, broken)), block=block)


def untie(decoder: Decoder) -> None:
    """Make the head another matrix than the embeddings, in place, with the same logits to the last bit: twice as large,
    after a norm half as large. Two tensors that are equal become one in a `.tflite`, and that one cannot have two types
    of quantization: it would be stored for each use."""
    decoder.head.weight = nn.Parameter(decoder.head.weight * 2, requires_grad=False)
    decoder.norm.weight = nn.Parameter(decoder.norm.weight / 2, requires_grad=False)


def guard(decoder: Decoder, block: int) -> None:
    """Raise one weight of every block of a row, in place, in which all are (nearly) zero: its scale would be 0 as
    float16, and XNNPACK does not load such a model. Rows of tokens that a vocabulary was filled up with are so."""
    for module in decoder.modules():
        if isinstance(module, nn.Linear):
            blocks = module.weight.detach().clone().view(-1, block)
            faint = blocks.abs().amax(1) < FAINT
            blocks[faint, blocks[faint].abs().argmax(1)] = FAINT
            module.weight = nn.Parameter(blocks.view_as(module.weight), requires_grad=False)


def convert(decoder: Decoder, output: Path, *, context: int, chunk: int) -> None:
    """Write `decoder` to `output` with a cache of `context` tokens and a prefill of `chunk`."""

    with hushed():
        import litert_torch

    litert_torch.config.show_progress = False
    prefill, decode = Signature(decoder, context, logits=False), Signature(decoder, context, logits=True)
    with torch.no_grad(), hushed():
        signatures = litert_torch.signature(f"{PREFILL}{chunk}", prefill.eval(), sample_kwargs=prefill.example(chunk))
        made: Any = signatures.signature(DECODE, decode.eval(), sample_kwargs=decode.example(1)).convert()
        made.export(str(output))
