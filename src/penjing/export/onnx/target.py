"""The target `onnx`, for ONNX Runtime on anything, and ONNX Runtime GenAI, which opens the same folder.

Does not know: how a decoder computes, how an export is compared with its parent.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal

from penjing.export import manner, starters
from penjing.export.foreign import translated
from penjing.export.onnx import genai, names
from penjing.export.onnx.runtime import OnnxRuntime
from penjing.export.starters import Facts, State, Tensor
from penjing.export.target import Options
from penjing.progress import Progress, Report, silent, span

if TYPE_CHECKING:
    import onnx

    from penjing.export.decoder.shape import Shape
    from penjing.export.manner import Manner

MODEL, DATA = "model.onnx", "model.onnx.data"
TOKENIZER = "tokenizer.json"
CALIBRATED = ("int4",)
ONE_FILE = 1_800_000_000
"""Bytes above which weights lie in a file of their own: protobuf ends at 2 GiB."""


class Onnx:
    """`model.onnx`, `genai_config.json` and the tokenizer."""

    name: ClassVar[str] = "onnx"
    extra: ClassVar[str] = "onnx"
    packages: ClassVar[tuple[str, ...]] = ("torch", "onnx", "onnxscript", "onnxruntime")
    precisions: ClassVar[Mapping[str, float]] = {"int4": 4.5, "int8": 8.5, "fp16": 16.0, "fp32": 32.0}
    takes: ClassVar[Literal["checkpoint", "gguf"]] = "checkpoint"
    uses: ClassVar[tuple[str, ...]] = ("context", "calibration")

    def write(self, model: Path, output: Path, options: Options, report: Report | None = None) -> list[Path]:
        """The graph, GenAI's files and starters. Raises NothingToCalibrate, NotAText, TextTooShort, ModelError,
        DiskFull, and what `report` raises."""
        from penjing.export import blocks, calibration
        from penjing.export.decoder import weights
        from penjing.export.decoder.shape import read
        from penjing.export.onnx.graph import build
        from penjing.export.onnx.quantize import BLOCK, quantize

        calibration.require_calibrated(options, CALIBRATED)
        heard = report or silent
        shape, config = read(model)
        context = _context(shape, options)
        decoder = weights.load(model, context, report=span(heard, 0, 0.1))
        vocabulary, tied = decoder.vocabulary, decoder.tied
        settled = {}
        if options.precision in CALIBRATED:
            windows = calibration.read(model, options, min(context, blocks.LENGTH))
            settled = blocks.fit(decoder, windows, blocks.shifted(4, BLOCK), span(heard, 0.1, 0.4), head=False)
        heard(Progress(0.4, "converting"))
        whole = options.precision in ("fp16", "fp32")
        with translated(self.name, model):
            graph = build(decoder, half=options.precision == "fp16", share=whole)
            del decoder
            if not whole:
                heard(Progress(0.7, "quantizing"))
                graph = quantize(graph, settled, tied=tied)
        heard(Progress(0.9, "writing"))
        _save(graph, output)
        spoken = manner.read(model)
        genai.write(model, output, MODEL, shape, config, spoken, context)
        if options.starter and (output / TOKENIZER).is_file():
            beside = {"data": DATA} if (output / DATA).is_file() else {}
            starters.write(facts(options, shape, vocabulary, spoken, context, beside), output)
        return sorted(path for path in output.rglob("*") if path.is_file())

    def reload(self, output: Path) -> OnnxRuntime:
        """Raises OnnxRefused."""
        return OnnxRuntime(output / MODEL)


def _context(shape: Shape, options: Options) -> int:
    """Caches grow, so that a model gets all it was made for; one whose rotation changes beyond a length stays within
    it, unless more was asked for."""
    longest = shape.original if shape.rope.kind == "longrope" else shape.context
    return min(options.context or longest, shape.context)


def facts(
    options: Options, shape: Shape, vocabulary: int, spoken: Manner, context: int, beside: Mapping[str, str]
) -> Facts:
    """What the starters are filled with; `beside` are files besides the usual ones."""
    dtype = "float16" if options.precision == "fp16" else "float32"
    given = ("batch", shape.kv_heads, "past", shape.head)
    kept = ("batch", shape.kv_heads, "seen", shape.head)
    cached = names.caches(range(shape.layers))
    return Facts(
        target=Onnx.name,
        model=options.name,
        precision=options.precision,
        files={"model": MODEL, "tokenizer": TOKENIZER, "genai": ".", **beside},
        inputs={
            "ids": Tensor(names.IDS, (1, "sequence"), "int64"),
            "positions": Tensor(names.POSITIONS, (1, "sequence"), "int64"),
        },
        outputs={"logits": Tensor(names.LOGITS, (1, "sequence", vocabulary), "float32")},
        state=tuple(State(Tensor(a, given, dtype), Tensor(b, kept, dtype)) for a, b in cached),
        vocabulary=vocabulary,
        context=context,
        manner=spoken,
    )


def _save(graph: onnx.ModelProto, output: Path) -> None:
    import onnx

    large = sum(len(each.raw_data) for each in graph.graph.initializer) > ONE_FILE
    onnx.save(graph, output / MODEL, save_as_external_data=large, location=DATA if large else None)
