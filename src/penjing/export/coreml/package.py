"""A checkpoint folder becomes an `.mlpackage`, and what was written is read again and compared with the checkpoint.

Does not know: what else lies beside a package.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from penjing.export import blocks, calibration
from penjing.export.coreml import names, verify
from penjing.export.coreml.convert import convert
from penjing.export.coreml.faults import SequenceTooLong
from penjing.export.coreml.interpreter import Interpreter
from penjing.export.coreml.palettes import palettize
from penjing.export.coreml.program import read
from penjing.export.coreml.quantize import block, quantize
from penjing.export.coreml.stateful import Stateful, halve
from penjing.export.coreml.toolbox import quiet
from penjing.export.coreml.verify import Matrix, Weights
from penjing.export.decoder import weights
from penjing.export.decoder.model import Decoder
from penjing.export.decoder.shape import Shape
from penjing.export.decoder.shape import read as read_shape
from penjing.export.foreign import translated
from penjing.progress import Progress, Report, span

if TYPE_CHECKING:
    from penjing.export.target import Options

LAYERS = {
    "fp16": Matrix(16),
    "int8": Matrix(8),
    "int4": Matrix(4),
    "pal4": Matrix(4, palette=True),
    "pal6": Matrix(6, palette=True),
}
CALIBRATED = ("int4", "pal4", "pal6")
WORDS = Matrix(8)
"""Of the embedding and the head wherever the layers are not in fp16: each of their rows is a word."""


@dataclass(frozen=True)
class Written:
    """What is in the package: a conversation of `context` tokens, for which its cache has `room` (more where it reads a
    fixed number and the last call is padded), `weights` as they were compared with the parent's."""

    shape: Shape
    vocabulary: int
    context: int
    room: int
    weights: Weights


def write(model: Path, package: Path, options: Options, report: Report) -> Written:
    """Write the checkpoint in the folder `model` to `package`, and prove it. Raises NothingToCalibrate,
    SequenceTooLong, ModelError, NotAText, TextTooShort, WrongProgram, DiskFull, and what `report` raises."""
    calibration.require_calibrated(options, CALIBRATED)
    shape, _ = read_shape(model)
    context = options.tokens(shape.context)
    if options.sequence > context:
        raise SequenceTooLong(sequence=options.sequence, context=context)
    room = context + max(0, options.sequence - 1)
    decoder = weights.load(model, context, rows=room, report=span(report, 0, 0.1))
    wanted = matrices(decoder, options.precision)
    if options.precision in CALIBRATED:
        heard = span(report, 0.1, 0.6)
        if LAYERS[options.precision].palette:
            palettize(decoder, LAYERS[options.precision].bits, calibration.read(model, options, context), heard)
        else:
            windows = calibration.read(model, options, min(context, blocks.LENGTH))
            blocks.fit(decoder, windows, blocks.signed(4, block(_widths(decoder))), heard, head=False)
    with translated("coreml", model):
        program = _program(decoder, wanted, options, room, span(report, 0.6, 0.9))
        report(Progress(0.9, "writing"))
        with quiet():
            program.save(str(package))
    vocabulary = decoder.vocabulary
    del decoder, program  # what is compared needs their memory
    report(Progress(0.95, "checking"))
    written = read(package)
    verify.structure(written, shape, room, options.sequence)
    parents = {name: each.numpy() for name, each in weights.read(model, shape).items() if name in wanted}
    compared = verify.weights(Interpreter(written), parents, wanted)
    return Written(shape, vocabulary, context, room, compared)


def matrices(decoder: Decoder, precision: str) -> dict[str, Matrix]:
    """What each matrix of `decoder` is to be in `precision`."""
    layers = LAYERS[precision]
    words = layers if layers.bits == 16 else WORDS
    return {
        name: layers if name.startswith("layers.") else words
        for name, each in decoder.named_parameters(remove_duplicate=False)
        if each.ndim == 2
    }


def _program(decoder: Decoder, wanted: Mapping[str, Matrix], options: Options, room: int, report: Report) -> Any:
    report(Progress(0, "converting"))
    metadata = {names.MODEL_NAME: options.name}
    if decoder.shape.window:
        metadata[names.WINDOW] = str(decoder.shape.window)
    halve(decoder)
    program = convert(Stateful(decoder, room, options.sequence), metadata)
    bits = {names.constant(name): each.bits for name, each in wanted.items() if each.bits < 16 and not each.palette}
    if not bits:
        return program
    report(Progress(0.7, "quantizing"))
    return quantize(program, bits, _widths(decoder))


def _widths(decoder: Decoder) -> set[int]:
    """How long the rows of the layers' matrices are."""
    return {each.shape[1] for each in decoder.layers.parameters() if each.ndim == 2}
