"""The step `quantize`: fewer bits a weight, to a GGUF file.

Does not know: how types are chosen and numbers rounded (`shrink.quantize`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from penjing.errors import SettingError
from penjing.plan import mixes, quality
from penjing.plan.said import Said, said
from penjing.probe.facts import Model
from penjing.probe.tensor import Tensor
from penjing.progress import span
from penjing.shrink import container
from penjing.shrink.bits import BITS, BY_BITS, SAID
from penjing.shrink.container import Info
from penjing.shrink.quantize.mix import header, mix_of
from penjing.shrink.quantize.write import require_floats
from penjing.shrink.steps.kind import Kind, Loss, Made, Outlook, Pace, Work

CONVERTING = 0.2
"""Of the time, where a checkpoint folder becomes a GGUF file first."""
HEADER_SHARE = 0.55
"""Bytes of a GGUF's header for a byte of tokenizer.json (the built-in model's)."""
MODELS_DIFFER = 3.0
"""How many times more or less a model may lose than the one that was measured."""


@dataclass(frozen=True)
class Quantize:
    """`bits` a weight, or `preset`, one of llama.cpp's mixtures."""

    bits: int | None = None
    preset: str | None = None

    def __post_init__(self) -> None:
        if self.bits is not None and self.bits not in BITS:
            raise SettingError(name="bits", value=self.bits, wanted=SAID, source="--bits")

    @property
    def label(self) -> str:
        """The mixture's name."""
        return self.preset or BY_BITS[self.bits or 4]


def run(work: Work, options: Quantize) -> Made:
    """The file is `output/model.gguf`."""
    from penjing.shrink.output import whole_folder
    from penjing.shrink.quantize.write import quantize

    source = work.gguf(work.model, span(work.report, 0.0, CONVERTING))
    with whole_folder(work.output) as folder:
        done = quantize(
            source,
            folder / "model.gguf",
            options.preset or options.bits or 4,
            report=span(work.report, CONVERTING, 1.0),
        )
    found = {"label": done.label, "types": done.types, "fallbacks": done.fallbacks}
    return Made(work.output / "model.gguf", found)


def foresee(before: Outlook, options: Quantize, pace: Pace) -> Outlook:
    """Bytes are exact where the header is known. Raises AlreadyQuantized."""
    if before.form == "gguf":
        require_floats(before.model)
    after = mixes.quantized(before.model, options.label)
    size = file_bytes(before, after.tensors, options.label)
    weights = sum(tensor.elements for tensor in after.tensors)
    return before.then(
        model=after,
        form="gguf",
        bytes=size,
        exact=before.exact and before.header is not None,
        loss=before.loss + expected(options.label, after.bits_per_weight) if before.loss else None,
        effort=weights,
        seconds=pace.time("quantize", weights, "encode"),
        room=size + (2 * weights if before.form == "checkpoint" else 0),
        remarks=fallbacks(before.model, after.tensors, options.label),
    )


def file_bytes(before: Outlook, tensors: Sequence[Tensor], label: str) -> int:
    """Of the GGUF file with these tensors in it."""
    infos = [Info(tensor.name, tensor.shape, tensor.type) for tensor in tensors]
    header_bytes = before.header
    if header_bytes is None:
        words = before.model.path / "tokenizer.json"
        header_bytes = round(words.stat().st_size * HEADER_SHARE) if words.is_file() else 0
    return container.size([bytes(header_bytes), *header(label)], infos)


def fallbacks(model: Model, tensors: Sequence[Tensor], label: str) -> tuple[Said, ...]:
    """Told where rows are no multiple of a type's block."""
    mix = mix_of(model, label)
    odd = [tensor for tensor in tensors if tensor.type != mix.wanted(tensor.name, len(tensor.shape))]
    if not odd:
        return ()
    first = odd[0]
    return (
        said(
            "{count} tensors get a larger type, since their rows are no multiple of 256 ({name}: {width}, {type}).",
            count=len(odd),
            name=first.name,
            width=first.shape[-1],
            type=first.type,
        ),
    )


def expected(label: str, bits: float) -> Loss:
    """From published measurements of one model: others lose more or less."""
    known = quality.of(label, bits)
    if known.kl == 0:
        return Loss(0.0, 0.0, 0.0, "measured")
    return Loss(known.kl / MODELS_DIFFER, known.kl, known.kl * MODELS_DIFFER)


QUANTIZE = Kind("quantize", "Quantizing", Quantize, run, foresee, gives="gguf", libraries=("xllamacpp", "numpy"))
