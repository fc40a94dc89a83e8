"""What targets with a cache of fixed size share: how their export begins and ends, and what their runtimes refuse.

Does not know: any target, runtimes.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from penjing.errors import ContextOverflow
from penjing.export import starters
from penjing.progress import Report

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from penjing.export.decoder.model import Decoder
    from penjing.export.starters import Facts
    from penjing.export.target import Options

CHUNK = 128
"""Tokens that one call reads at most, unless said otherwise: some runtimes plan its memory when a model is made."""
TOKENIZER = "tokenizer.json"


class ContextFull(ContextOverflow):
    """Facts: `tokens`, `context`."""

    template = "{tokens} tokens do not fit: the export has room for {context}."
    hint = "Export it with more: --context N"


@dataclass(frozen=True)
class Begun:
    """`decoder` for a cache of `context` tokens, of which one call reads `chunk` at most; `windows` of calibration
    text, each [n] tokens of one length, none where the precision needs none."""

    decoder: Decoder
    context: int
    chunk: int
    windows: Sequence[NDArray[np.int64]]


def begin(model: Path, options: Options, calibrated: Sequence[str], report: Report) -> Begun:
    """Load the checkpoint in the folder `model`, and what calibrates it where the precision is among `calibrated`.
    Raises NothingToCalibrate, NotAText, TextTooShort, ModelError, and what `report` raises."""
    from penjing.export import blocks, calibration
    from penjing.export.decoder import weights
    from penjing.export.decoder.shape import read

    calibration.require_calibrated(options, calibrated)
    context = options.tokens(read(model)[0].context)
    decoder = weights.load(model, context, report=report)
    wanted = options.precision in calibrated
    windows = calibration.read(model, options, min(context, blocks.LENGTH)) if wanted else []
    return Begun(decoder, context, min(options.sequence or CHUNK, context), windows)


def finish(model: Path, output: Path, options: Options, facts: Callable[[], Facts]) -> list[Path]:
    """Put the tokenizer of the checkpoint in the folder `model`, and starters filled with `facts`, into `output`; all
    files there. Starters read tokenizer.json alone: without it there are none. Raises ModelError."""
    if (model / TOKENIZER).is_file():
        shutil.copyfile(model / TOKENIZER, output / TOKENIZER)
        if options.starter:
            starters.write(facts(), output)
    return sorted(path for path in output.rglob("*") if path.is_file())
