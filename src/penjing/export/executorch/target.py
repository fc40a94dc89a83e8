"""The target `executorch`, for Android, iOS and C++.

Does not know: how a decoder computes, how an export is compared with its parent.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal

from penjing.export import fixed, manner
from penjing.export.executorch import names
from penjing.export.executorch.runtime import ExecuTorchRuntime
from penjing.export.foreign import translated
from penjing.export.starters import Facts, Tensor
from penjing.export.target import Options
from penjing.progress import Progress, Report, silent, span

if TYPE_CHECKING:
    from penjing.export.manner import Manner

MODEL = "model.pte"
CALIBRATED = ("8da4w",)


class ExecuTorch:
    """`model.pte` with its cache inside, for XNNPACK."""

    name: ClassVar[str] = "executorch"
    extra: ClassVar[str] = "executorch"
    packages: ClassVar[tuple[str, ...]] = ("torch", "executorch", "torchao")
    precisions: ClassVar[Mapping[str, float]] = {"8da8w": 8.0, "8da4w": 4.5, "fp32": 32.0}
    takes: ClassVar[Literal["checkpoint", "gguf"]] = "checkpoint"
    uses: ClassVar[tuple[str, ...]] = ("context", "sequence", "calibration")

    def write(self, model: Path, output: Path, options: Options, report: Report | None = None) -> list[Path]:
        """The program, the tokenizer and starters. Raises NothingToCalibrate, NotAText, TextTooShort, ModelError,
        DiskFull, and what `report` raises."""
        from penjing.export import blocks
        from penjing.export.executorch.program import GROUP, WEIGHTS, lower, quantize, save, trace

        heard = report or silent
        begun = fixed.begin(model, options, CALIBRATED, span(heard, 0, 0.1))
        decoder, context, chunk = begun.decoder, begun.context, begun.chunk
        vocabulary = decoder.vocabulary
        spoken = manner.read(model)
        settled = {}
        if options.precision in CALIBRATED:
            settled = blocks.fit(decoder, begun.windows, blocks.signed(4, GROUP), span(heard, 0.1, 0.3), head=True)
        if options.precision in WEIGHTS:
            heard(Progress(0.3, "quantizing"))
            with translated(self.name, model):
                quantize(decoder, settled)
        heard(Progress(0.35, "exporting"))
        with translated(self.name, model):
            program = trace(decoder, context=context, chunk=chunk)
        heard(Progress(0.5, "converting"))
        told = methods(spoken, vocabulary, context, chunk)
        with translated(self.name, model):
            made = lower(program, told, quantized=options.precision in WEIGHTS)
        heard(Progress(0.9, "writing"))
        save(made, output / MODEL)
        return fixed.finish(model, output, options, lambda: facts(options, spoken, vocabulary, context, chunk))

    def reload(self, output: Path) -> ExecuTorchRuntime:
        """Raises ExecuTorchRefuses."""
        return ExecuTorchRuntime(output / MODEL)


def methods(spoken: Manner, vocabulary: int, context: int, chunk: int) -> dict[str, object]:
    """What a program says about itself to ExecuTorch's runners."""
    return {
        names.CHUNK: chunk,
        names.CONTEXT: context,
        names.VOCABULARY: vocabulary,
        names.ENDS: list(spoken.end_tokens),
        "use_kv_cache": True,
        "use_sdpa_with_kv_cache": False,
        "enable_dynamic_shape": True,
    }


def facts(options: Options, spoken: Manner, vocabulary: int, context: int, chunk: int) -> Facts:
    """What the starters are filled with."""
    return Facts(
        target=ExecuTorch.name,
        model=options.name,
        precision=options.precision,
        files={"model": MODEL, "tokenizer": fixed.TOKENIZER},
        inputs={
            "ids": Tensor(names.TOKENS, (1, "sequence"), "int64"),
            "positions": Tensor(names.POSITION, (1,), "int64"),
        },
        outputs={"logits": Tensor(names.LOGITS, (1, vocabulary), "float32")},
        vocabulary=vocabulary,
        context=context,
        manner=spoken,
        more={"chunk": chunk, "method": names.FORWARD},
    )
