"""One matrix of a quantized file as something that learns: what it stands for is always what the file would hold, and
the gradient passes the rounding as if it were not there (the straight-through estimator, Bengio et al. 2013).

A number's place on the scale of its codes is learned, in steps of quantization: 1 leads from one code to the next,
whatever the matrix. Types of FORMS learn their scales too, of blocks and of parts, each rounded to what the type can
hold; types with a codebook learn the scales of their blocks alone.

Does not know: models, files, what is learned from.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from penjing.probe.ggml import NUMBERS, TYPES
from penjing.shrink.ggml import decode
from penjing.shrink.quantize.fields import FORMS, Bytes, Fields, Floats, Form

if TYPE_CHECKING:
    from torch import Tensor
    from torch.nn import Parameter

GAIN = 0.1
"""How much of a scale a step of its parameter is: scales are shared by many numbers, and move more slowly."""
TOWARDS = 0.5
"""How far numbers begin from the middle of their code, towards what they were before rounding."""
EDGE = 0.49
"""Of a step: beyond it a number would have another code."""
BOOKS = ("IQ2_XXS", "IQ2_XS", "IQ3_XXS")
"""Types with a codebook whose blocks begin with their scale (ggml-common.h, `block_iq2_xxs` ...)."""


class Matrix(Protocol):
    """[rows, columns] that learn. `learned` are parameters by name."""

    learned: dict[str, Parameter]

    def weight(self) -> Tensor:
        """What the file would hold, f32 [rows, columns]; gradients reach `learned`."""

    def coded(self) -> Bytes:
        """As the file holds it, u8 [rows, row_bytes]."""


def matrix(kind: str, blocks: Bytes, wanted: Floats, device: str) -> Matrix | None:
    """Of ggml type `kind`, now `blocks` u8 [rows, row_bytes], before rounding `wanted` [rows, columns]. None for a type
    that does not learn."""
    if kind in FORMS:
        return Scalar(FORMS[kind], blocks, wanted, device)
    return Codebook(kind, blocks, wanted.shape[1], device) if kind in BOOKS else None


def straight(hard: Tensor, soft: Tensor) -> Tensor:
    """`hard` with the gradient of `soft`."""
    return soft + (hard - soft).detach()


class Scalar:
    """A matrix of a type whose codes are steps of a scale."""

    def __init__(self, form: Form, blocks: Bytes, wanted: Floats, device: str) -> None:
        import torch

        self.form, self.device = form, device
        self.rows, self.columns = wanted.shape
        fields = form.unpack(blocks.reshape(-1, TYPES[NUMBERS[form.kind]][2]))
        self.levels = self._tensor(form.levels)
        self.middles = (self.levels[1:] + self.levels[:-1]) / 2
        self.d, self.dmin = self._tensor(fields.d, 1), self._tensor(fields.dmin, 1)
        self.scales, self.minima = self._tensor(fields.scales, -1), self._tensor(fields.minima, -1)
        self.learned = {"codes": self._places(fields, wanted)}
        for name, there in self._moving().items():
            self.learned[name] = torch.nn.Parameter(torch.zeros_like(there))

    def _moving(self) -> dict[str, Tensor]:
        """The scales that are learned."""
        found = {"d_moved": self.d}
        if self.form.scales[0] < self.form.scales[1]:
            found["scales_moved"] = self.scales
        if self.form.minima[0] < self.form.minima[1]:
            found |= {"dmin_moved": self.dmin, "minima_moved": self.minima}
        return found

    def _tensor(self, values: NDArray[np.generic], parts: int = 0) -> Tensor:
        import torch

        made = torch.from_numpy(np.ascontiguousarray(values, np.float32)).to(self.device)
        return made.reshape(-1, parts if parts > 0 else made.shape[-1]) if parts else made

    def _places(self, fields: Fields, wanted: Floats) -> Parameter:
        """Where each number is on the scale of its codes, [blocks, parts, width]: within its code."""
        import torch

        shape = (len(fields.d), -1, self.form.width)
        codes = torch.from_numpy(fields.codes.astype(np.int64)).to(self.device).reshape(shape)
        middle = self.levels[codes]
        scale, offset = self.d * self.scales, self.dmin * self.minima
        place = (self._tensor(wanted).reshape(shape) + offset[..., None]) / scale[..., None]
        place = torch.where(torch.isfinite(place), place, middle)
        last = len(self.levels) - 1
        below = (middle - self.levels[(codes - 1).clamp(min=0)]).where(codes > 0, middle.new_ones(()))
        above = (self.levels[(codes + 1).clamp(max=last)] - middle).where(codes < last, middle.new_ones(()))
        inside = torch.minimum(torch.maximum(place - middle, -EDGE * below), EDGE * above)
        found = torch.nn.Parameter(middle + TOWARDS * inside)
        size = float(scale.abs().mean()) or 1.0
        found.register_hook(lambda gradient: gradient / size)  # as large as that of the weights would be
        return found

    def _scales(self) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """d, dmin, scales and minima as the type holds them."""
        form = self.form
        d, dmin, scales, minima = self.d, self.dmin, self.scales, self.minima
        if "d_moved" in self.learned:
            d = self._half(d, "d_moved")
        if "dmin_moved" in self.learned:
            dmin = self._half(dmin, "dmin_moved")
        if "scales_moved" in self.learned:
            scales = self._whole(scales, "scales_moved", form.scales)
        if "minima_moved" in self.learned:
            minima = self._whole(minima, "minima_moved", form.minima)
        return d, dmin, scales, minima

    def _half(self, values: Tensor, name: str) -> Tensor:
        moved = values * (GAIN * self.learned[name]).exp()
        return straight(moved.detach().half().float(), moved)

    def _whole(self, values: Tensor, name: str, ends: tuple[int, int]) -> Tensor:
        moved = values * (GAIN * self.learned[name]).exp()
        return straight(moved.detach().round().clamp(*ends), moved)

    def _nearest(self) -> Tensor:
        """Codes, int64 [blocks, parts, width]."""
        import torch

        return torch.bucketize(self.learned["codes"].detach(), self.middles)

    def weight(self) -> Tensor:
        d, dmin, scales, minima = self._scales()
        codes = self.learned["codes"]
        level = straight(self.levels[self._nearest()], codes)
        made = (d * scales)[..., None] * level
        if self.form.minima[0] < self.form.minima[1]:
            made = made - (dmin * minima)[..., None]
        return made.reshape(self.rows, self.columns)

    def coded(self) -> Bytes:
        d, dmin, scales, minima = (each.detach().cpu().numpy() for each in self._scales())
        codes = self._nearest().cpu().numpy().astype(np.uint8).reshape(len(d), -1)
        whole = Fields(d[:, 0], dmin[:, 0], scales.astype(np.int16), minima.astype(np.int16), codes)
        return self.form.pack(whole).reshape(self.rows, -1)


class Codebook:
    """A matrix of a type with a codebook: its codes stay, the scales of its blocks are learned."""

    def __init__(self, kind: str, blocks: Bytes, columns: int, device: str) -> None:
        import torch

        self.rows, self.size = len(blocks), TYPES[NUMBERS[kind]][2]
        self.blocks = np.ascontiguousarray(blocks).reshape(-1, self.size)
        self.columns = columns
        self.d = torch.from_numpy(self._half()[:, 0].astype(np.float32)).to(device)
        numbers = torch.from_numpy(decode(blocks, kind, columns)).to(device).reshape(len(self.d), -1)
        self.shape = numbers / self.d.where(self.d != 0, torch.ones_like(self.d))[:, None]
        self.learned = {"d_moved": torch.nn.Parameter(torch.zeros_like(self.d))}

    def _half(self) -> NDArray[np.float16]:
        """Where `d` is: the first two bytes of a block in all types of BOOKS."""
        return self.blocks[:, :2].view(np.float16)

    def _scale(self) -> Tensor:
        moved = self.d * (GAIN * self.learned["d_moved"]).exp()
        return straight(moved.detach().half().float(), moved)

    def weight(self) -> Tensor:
        return (self.shape * self._scale()[:, None]).reshape(self.rows, self.columns)

    def coded(self) -> Bytes:
        made = self.blocks.copy()
        made[:, :2] = self._scale().detach().cpu().half().numpy()[:, None].view(np.uint8)
        return made.reshape(self.rows, -1)
