"""The decoder as Core ML takes it: its KV cache is state, lengths come from the shapes of what goes in.

Does not know: coremltools.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from penjing.export.coreml.names import FULL, IDS, KEYS, POSITION, SLIDING, VALUES
from penjing.export.decoder.model import Decoder, Norm


class HalfNorm(nn.Module):
    """`Norm` for half precision: values are divided by the largest of their row before they are squared, since the
    square of anything above 255 is infinite there."""

    def __init__(self, norm: Norm) -> None:
        super().__init__()
        self.weight = norm.weight
        self.register_buffer("root", torch.tensor([norm.eps**0.5]), persistent=False)

    def forward(self, values: Tensor) -> Tensor:
        """The shape of `values` stays."""
        largest = values.abs().amax(-1, keepdim=True).maximum(self.root)
        small = values / largest
        smallest = self.root / largest
        return small * torch.rsqrt(small.pow(2).mean(-1, keepdim=True) + smallest * smallest) * self.weight


def halve(module: nn.Module) -> None:
    """Put `HalfNorm` in the place of every `Norm` in `module`."""
    for name, child in module.named_children():
        if isinstance(child, Norm):
            setattr(module, name, HalfNorm(child))
        else:
            halve(child)


class Stateful(nn.Module):
    """`decoder` with room for `size` tokens. `steps`: how many tokens it reads at once, 0 for any number."""

    def __init__(self, decoder: Decoder, size: int, steps: int = 0) -> None:
        super().__init__()
        shape = decoder.shape
        self.decoder, self.size, self.steps = decoder, size, steps
        self.slides = any(shape.sliding)
        room = (shape.layers, 1, shape.kv_heads, size, shape.head)
        self.register_buffer(KEYS, torch.zeros(room))
        self.register_buffer(VALUES, torch.zeros(room))

    def inputs(self) -> dict[str, Tensor]:
        """An example of what `forward` takes, by the names of the program, in its order: two tokens after three."""
        new = self.steps or 2
        seen = self.size if self.steps else 5
        given = {IDS: torch.zeros(1, new, dtype=torch.int32), FULL: torch.zeros(1, 1, new, seen)}
        if self.slides:
            given[SLIDING] = torch.zeros(1, 1, new, seen)
        if self.steps:
            given[POSITION] = torch.zeros(1, dtype=torch.int32)
        return given

    def forward(self, ids: Tensor, full: Tensor, *more: Tensor) -> Tensor:
        """Logits [1, n, vocabulary] of `ids` [1, n] int32. `full` [1, 1, n, seen] is added to the scores of layers that
        see everything; then that of layers with a window, where there are any, and `position` [1] int32 of the first
        token where the number of tokens is fixed (`seen` is `size` then)."""
        near = more[0] if self.slides else full
        if self.steps:
            begin = more[-1][0]
            end = begin + self.steps
        else:
            end = full.shape[-1]
            begin = end - ids.shape[-1]
        positions = torch.arange(self.size, dtype=torch.int32)[begin:end]

        def update(layer: int, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
            self.keyCache[layer, :, :, begin:end, :] = keys
            self.valueCache[layer, :, :, begin:end, :] = values
            if self.steps:
                return self.keyCache[layer], self.valueCache[layer]
            return self.keyCache[layer, :, :, :end, :], self.valueCache[layer, :, :, :end, :]

        return self.decoder.run(ids, positions, full[0, 0], near[0, 0], update)
