"""The target `litert`, for Android and whatever else LiteRT (formerly TensorFlow Lite) runs on.

Does not know: how a decoder computes, how an export is compared with its parent.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar, Literal

from penjing.export import fixed, manner
from penjing.export.foreign import translated
from penjing.export.litert import bundle, names
from penjing.export.litert.quantize import BLOCK, PRECISIONS, quantize
from penjing.export.litert.runtime import LiteRTRuntime
from penjing.export.starters import Facts, State, Tensor
from penjing.export.target import Options
from penjing.progress import Progress, Report, silent, span

MODEL = "model.tflite"
BUNDLE = "model.litertlm"
CALIBRATED = ("int4",)


class LiteRT:
    """`model.tflite` with its cache as inputs and outputs, and `model.litertlm` where LiteRT-LM knows the tokenizer."""

    name: ClassVar[str] = "litert"
    extra: ClassVar[str] = "litert"
    packages: ClassVar[tuple[str, ...]] = (
        "torch",
        "litert_torch",
        "ai_edge_litert",
        "ai_edge_quantizer",
        "litert_lm_builder",
    )
    precisions: ClassVar[Mapping[str, float]] = {"int8": 8.0, "int4": 4.5, "fp32": 32.0}
    takes: ClassVar[Literal["checkpoint", "gguf"]] = "checkpoint"
    uses: ClassVar[tuple[str, ...]] = ("context", "sequence", "calibration")

    def write(self, model: Path, output: Path, options: Options, report: Report | None = None) -> list[Path]:
        """The model, its bundle, its tokenizer and starters. Raises NothingToCalibrate, NotAText, TextTooShort,
        ModelError, DiskFull, and what `report` raises."""
        from penjing.export import blocks
        from penjing.export.litert.convert import convert, guard, require_blocks, untie

        heard = report or silent
        begun = fixed.begin(model, options, CALIBRATED, span(heard, 0, 0.1))
        decoder, context, chunk = begun.decoder, begun.context, begun.chunk
        whole = output / MODEL if options.precision not in PRECISIONS else output / "float32.tflite"
        if options.precision in CALIBRATED:
            require_blocks(decoder, model, BLOCK)
            untie(decoder)
            blocks.fit(decoder, begun.windows, blocks.signed(4, BLOCK), span(heard, 0.1, 0.4), head=True)
            guard(decoder, BLOCK)
        heard(Progress(0.4, "converting"))
        with translated(self.name, model):
            convert(decoder, whole, context=context, chunk=chunk)
        if whole.name != MODEL:
            heard(Progress(0.7, "quantizing"))
            with translated(self.name, model):
                quantize(whole, output / MODEL, options.precision)
            whole.unlink()
        heard(Progress(0.9, "writing"))
        if bundle.tokenizer(model) is not None:
            bundle.write(output / MODEL, model, output / BUNDLE, name=options.name, context=context)
        size = (1, decoder.shape.kv_heads, context, decoder.shape.head)
        layers, vocabulary = decoder.shape.layers, decoder.vocabulary
        return fixed.finish(model, output, options, lambda: facts(model, options, vocabulary, layers, size, chunk))

    def reload(self, output: Path) -> LiteRTRuntime:
        """Raises LiteRTRefuses."""
        return LiteRTRuntime(output / MODEL)


def facts(
    model: Path, options: Options, vocabulary: int, layers: int, size: tuple[int, int, int, int], chunk: int
) -> Facts:
    """What the starters are filled with; `size` is that of one cache. Raises ModelError."""
    cached = [Tensor(name, size, "float32") for name in names.caches(layers)]
    return Facts(
        target=LiteRT.name,
        model=options.name,
        precision=options.precision,
        files={"model": MODEL, "bundle": BUNDLE, "tokenizer": fixed.TOKENIZER},
        inputs={"ids": Tensor(names.TOKENS, (1, 1), "int32"), "positions": Tensor(names.POSITIONS, (1,), "int32")},
        outputs={"logits": Tensor(names.LOGITS, (1, 1, vocabulary), "float32")},
        state=tuple(State(each, each) for each in cached),
        vocabulary=vocabulary,
        context=size[2],
        manner=manner.read(model),
        more={"chunk": chunk, "prefill": f"{names.PREFILL}{chunk}", "decode": names.DECODE},
    )
