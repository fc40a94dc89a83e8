"""Fewer bits per weight: which ggml type each tensor gets, and a GGUF file made smaller.

The 4-bit mix follows llama.cpp's Q4_K_M (src/llama-quant.cpp, `llama_tensor_get_type`): six bits for the head, for the
values and the FFN's way down in the first and last eighth of the layers and in every third between.

Does not know: checkpoints in other formats (`export.gguf` uses the same types on its way).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from penjing.errors import ModelUnsupported, SettingError
from penjing.probe import gguf, single
from penjing.probe.facts import Model
from penjing.probe.view import viewing
from penjing.progress import Report
from penjing.shrink import container
from penjing.shrink.bits import BITS
from penjing.shrink.container import Info
from penjing.shrink.ggml import fits
from penjing.shrink.rows import DTYPES, Rows
from penjing.shrink.stream import Flow, write

FILE_TYPES = {32: 0, 16: 1, 8: 7, 4: 15}  # llama.h, llama_ftype: ALL_F32, F16, Q8_0, Q4_K_M
LABELS = {32: "F32", 16: "F16", 8: "Q8_0", 4: "Q4_K_M"}
QUANTIZATION_VERSION = 2  # ggml.h, GGML_QNT_VERSION
FALLBACK = {"Q4_K": "Q5_0", "Q5_K": "Q5_1", "Q6_K": "Q8_0", "Q5_0": "F16", "Q5_1": "F16", "Q8_0": "F16"}
KEPT = re.compile(r"ffn_gate_inp|rope_freqs|rope_factors|token_types|position_embd|cls")
LAYER = re.compile(r"^blk\.(\d+)\.")
REPLACED = ("general.file_type", "general.quantization_version", "general.alignment", "split.")


class AlreadyQuantized(ModelUnsupported):
    """Facts: `path`, `label`, `bits`."""

    template = "{path} is already quantized ({label}); quantizing it again to {bits} bits would lose twice."
    hint = "Take the F16, BF16 or F32 file of the same model, or leave --bits away."


@dataclass(frozen=True)
class Quantized:
    """What was written: the types with their number of tensors, the names that got another type than the mix wanted
    (their rows are no multiple of the type's block), bytes in the file."""

    path: Path
    label: str
    types: dict[str, int]
    fallbacks: tuple[str, ...]
    bytes: int


@dataclass(frozen=True)
class Mix:
    """Types for one model: `bits` per weight wanted, `layers` it has, whether embedding and head are one tensor."""

    bits: int
    layers: int
    tied: bool

    def __post_init__(self) -> None:
        if self.bits not in BITS:
            raise SettingError(name="bits", value=self.bits, wanted="4, 8, 16 or 32", source="--bits")

    def wanted(self, name: str, dimensions: int) -> str:
        """The type `name` deserves, before its row length is looked at."""
        if dimensions < 2 or KEPT.search(name) or self.bits == 32:
            return "F32"
        if self.bits == 16:
            return "F16"
        if self.bits == 8:
            return "Q8_0"
        if name == "output.weight" or (name == "token_embd.weight" and self.tied):
            return "Q6_K"
        if "attn_qkv" in name:
            return "Q5_K"
        sensitive = "attn_v" in name or "ffn_down" in name
        return "Q6_K" if sensitive and self._more_bits(name) else "Q4_K"

    def _more_bits(self, name: str) -> bool:
        found = LAYER.match(name)
        if not found:
            return False
        layer, eighth = int(found[1]), self.layers // 8
        return layer < eighth or layer >= 7 * self.layers // 8 or (layer - eighth) % 3 == 2

    def choose(self, name: str, shape: Sequence[int]) -> str:
        """The type `name` gets."""
        kind = self.wanted(name, len(shape))
        while not fits(kind, shape[-1]):
            kind = FALLBACK[kind]
        return kind

    @property
    def header(self) -> list[bytes]:
        """The metadata entries that say what was chosen."""
        return container.pack(
            {"general.file_type": FILE_TYPES[self.bits], "general.quantization_version": QUANTIZATION_VERSION}
        )

    def summary(self, path: Path, infos: Sequence[Info]) -> Quantized:
        """What writing `infos` came to."""
        types = Counter(info.type for info in infos)
        fallbacks = tuple(info.name for info in infos if info.type != self.wanted(info.name, len(info.shape)))
        return Quantized(path, LABELS[self.bits], dict(types), fallbacks, sum(info.bytes for info in infos))


def quantize(source: Path, target: Path, bits: int, *, report: Report | None = None) -> Quantized:
    """Write the F32, F16 or BF16 model `source` (a .gguf or its first shard) to `target` at `bits` bits per weight.
    Raises AlreadyQuantized, ModelCorrupt, DiskFull, SettingError."""
    model = single.read(source)
    mix = Mix(bits, model.layers, "output.weight" not in {tensor.name for tensor in model.tensors})
    flows = [_flow(model, index, mix) for index in range(len(model.tensors))]
    header = gguf.read(model.files[0])
    with viewing(model.files[0]) as view:
        kept = [view.content[begin:end] for key, (begin, end) in header.spans.items() if not key.startswith(REPLACED)]
    infos = write(target, kept + mix.header, flows, stage="quantizing", report=report)
    return mix.summary(target, infos)


def _flow(model: Model, index: int, mix: Mix) -> Flow:
    tensor = model.tensors[index]
    if tensor.type not in DTYPES:
        raise AlreadyQuantized(path=str(model.path), label=model.quantization, bits=mix.bits)
    info = Info(tensor.name, tensor.shape, mix.choose(tensor.name, tensor.shape))
    return Flow(info, Rows(model.path.parent / tensor.file, tensor))
