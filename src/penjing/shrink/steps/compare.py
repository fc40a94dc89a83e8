"""The step `compare`: what llama.cpp's usual mixtures of the origin lose, measured as the result is; for the picture in
the report.

Does not know: how anything is made or measured.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import msgspec

from penjing.errors import SettingError
from penjing.files import write_whole
from penjing.probe.facts import Model
from penjing.progress import Report, span
from penjing.shrink.quantize.mix import PRESETS
from penjing.shrink.steps.kind import Kind, Made, Named, Outlook, Pace, Work
from penjing.shrink.texts.known import FILES

WINDOW = 512
"""Tokens that are read at once."""
BUILT_IN = 2
"""Texts, where none are named."""


@dataclass(frozen=True)
class Compare:
    """`presets` are made with an importance matrix, as llama-quantize makes them, and measured on `windows` windows of
    each of the `texts` (none: the built-in ones that suit the model), as `evaluate` does."""

    presets: tuple[str, ...] = ("Q2_K", "Q3_K_M", "Q4_K_M", "Q5_K_M", "Q6_K")
    texts: tuple[Named, ...] = ()
    windows: Annotated[int, msgspec.Meta(ge=2)] = 24
    seed: int = 0

    def __post_init__(self) -> None:
        if not self.presets or not set(self.presets) <= set(PRESETS):
            wanted = ", ".join(PRESETS)
            raise SettingError(name="presets", value=list(self.presets), wanted=wanted, source="")


def run(work: Work, options: Compare) -> Made:
    """`found` has `points`: label, bytes and divergence of each. What was measured before a stop is not measured
    again."""
    source = work.gguf(work.origin, span(work.report, 0.0, 0.05))
    each = 0.95 / len(options.presets)
    points = [
        _point(source, label, work.scratch, options, span(work.report, 0.05 + each * at, 0.05 + each * (at + 1)))
        for at, label in enumerate(options.presets)
    ]
    return Made(work.model, {"points": points})


def _point(source: Path, label: str, scratch: Path, options: Compare, report: Report) -> dict[str, Any]:
    from penjing.shrink.evaluate.run import evaluate
    from penjing.shrink.texts.known import texts

    note = scratch / f"{label}.json"
    if note.is_file():
        known: dict[str, Any] = msgspec.json.decode(note.read_bytes())
        return known
    file = scratch / f"{label}.gguf"
    _made(source, file, label, scratch / "imatrix.gguf", span(report, 0.0, 0.4))
    given = [text for name in options.texts for text in texts(name)] or None
    told = span(report, 0.4, 1.0)
    quality = evaluate(file, source, texts=given, most_windows=options.windows, seed=options.seed, report=told)
    assert quality.text is not None  # the texts are not none
    assert quality.text.against is not None  # nor is the parent
    point = {"label": label, "bytes": file.stat().st_size, "kl": quality.text.against.kl.value}
    write_whole(note, msgspec.json.encode(point))
    file.unlink()
    return point


def _made(source: Path, file: Path, label: str, matrix: Path, report: Report) -> None:
    from penjing.shrink.quantize.calibration import calibration
    from penjing.shrink.quantize.collect import collect
    from penjing.shrink.quantize.importance import load, save
    from penjing.shrink.quantize.sums import Sums
    from penjing.shrink.quantize.write import quantize

    if not matrix.is_file():
        windows = calibration(source)
        save(matrix, collect(source, windows.tokens, texts=(windows.name,), report=span(report, 0.0, 0.5)))
        Sums(source, windows.tokens, products=False).forget()
    quantize(source, file, label, importance=load(matrix), report=span(report, 0.5, 1.0))


def foresee(before: Outlook, options: Compare, pace: Pace) -> Outlook:
    """Each is made and read."""
    read = options.windows * (len(options.texts) or BUILT_IN) * WINDOW
    effort = 4.0 * before.model.parameters * read * len(options.presets)
    return before.then(effort=effort, seconds=pace.time("compare", effort, "read"), room=_half(before.model))


def _half(model: Model) -> int:
    """Bytes of the largest of them, about."""
    return model.parameters


COMPARE = Kind(
    "compare",
    "Measuring the usual quantizations",
    Compare,
    run,
    foresee,
    looks=True,
    libraries=("xllamacpp",),
    names={"texts": FILES},
)
