"""The target `executorch`, for Android, iOS and C++.

Does not know: how a decoder computes, how an export is compared with its parent.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal

from penjing.export import manner, starters
from penjing.export.executorch import names
from penjing.export.executorch.runtime import ExecuTorchRuntime
from penjing.export.foreign import translated
from penjing.export.starters import Facts, Tensor
from penjing.export.target import Options
from penjing.progress import Progress, Report, span

if TYPE_CHECKING:
    from penjing.export.manner import Manner

MODEL = "model.pte"
TOKENIZER = "tokenizer.json"
CALIBRATED = ("8da4w",)
CHUNK = 128
"""Tokens that one call reads at most, unless said otherwise: their memory is planned when the program is made."""


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
        from penjing.export import blocks, calibration
        from penjing.export.decoder import weights
        from penjing.export.decoder.shape import read
        from penjing.export.executorch.program import GROUP, WEIGHTS, lower, quantize, save, trace

        calibration.require_calibrated(options, CALIBRATED)
        heard = report or _silent
        context = options.tokens(read(model)[0].context)
        decoder = weights.load(model, context, report=span(heard, 0, 0.1))
        chunk, vocabulary = min(options.sequence or CHUNK, context), decoder.vocabulary
        spoken = manner.read(model)
        settled = {}
        if options.precision in CALIBRATED:
            windows = calibration.read(model, options, min(context, blocks.LENGTH))
            settled = blocks.fit(decoder, windows, blocks.signed(4, GROUP), span(heard, 0.1, 0.3), head=True)
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
        if (model / TOKENIZER).is_file():
            shutil.copyfile(model / TOKENIZER, output / TOKENIZER)
            if options.starter:
                starters.write(facts(options, spoken, vocabulary, context, chunk), output)
        return sorted(path for path in output.rglob("*") if path.is_file())

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
        files={"model": MODEL, "tokenizer": TOKENIZER},
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


def _silent(progress: Progress) -> None:
    """Nobody listens."""
