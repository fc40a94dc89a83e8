"""The target `gguf`: one file for llama.cpp and everything built on it, in any of its mixtures.

Does not know: how a checkpoint becomes a GGUF (`convert`, and `upstream` for families that penjing does not know).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar, Literal

from penjing.export import manner, starters
from penjing.export.gguf import convert, upstream
from penjing.export.gguf.runtime import LlamaRuntime
from penjing.export.starters import Facts
from penjing.export.target import CONTEXT, Options
from penjing.probe import model as probe
from penjing.progress import Report
from penjing.shrink.quantize.mix import PRESETS

MODEL = "model.gguf"
BITS = {
    "q4_k_m": 4.85, "q8_0": 8.5, "f16": 16.0, "bf16": 16.0, "f32": 32.0, "q6_k": 6.56, "q5_k_m": 5.69, "q5_k_s": 5.53,
    "q4_k_s": 4.58, "iq4_xs": 4.25, "iq4_nl": 4.5, "q4_0": 4.55, "q4_1": 5.0, "q5_0": 5.5, "q5_1": 6.0,
    "q3_k_l": 4.27, "q3_k_m": 3.91, "q3_k_s": 3.5, "iq3_m": 3.66, "iq3_s": 3.44, "q2_k": 2.96, "q2_k_s": 2.9,
}  # fmt: skip
"""Bits a weight, the default first (llama.cpp's README of llama-quantize)."""


class Gguf:
    """`model.gguf`."""

    name: ClassVar[str] = "gguf"
    extra: ClassVar[str] = "convert"
    packages: ClassVar[tuple[str, ...]] = ()
    precisions: ClassVar[Mapping[str, float]] = {name: bits for name, bits in BITS.items() if name.upper() in PRESETS}
    takes: ClassVar[Literal["checkpoint", "gguf"]] = "checkpoint"
    uses: ClassVar[tuple[str, ...]] = ("context",)

    def write(self, model: Path, output: Path, options: Options, report: Report | None = None) -> list[Path]:
        """The file and its starters. Raises ModelError, DiskFull, and what `report` raises."""
        make = convert.convert if convert.supported(model) else upstream.convert
        make(model, output / MODEL, options.precision.upper(), report=report)
        if options.starter:
            facts = Facts(
                target=self.name,
                model=options.name,
                precision=options.precision,
                files={"model": MODEL},
                context=options.tokens(probe.read(model).context),
                manner=manner.read(model),
            )
            starters.write(facts, output)
        return sorted(path for path in output.rglob("*") if path.is_file())

    def reload(self, output: Path) -> LlamaRuntime:
        """Raises LoadFailed."""
        path = output / MODEL
        longest = probe.read(path).context
        return LlamaRuntime(path, min(CONTEXT, longest or CONTEXT))
