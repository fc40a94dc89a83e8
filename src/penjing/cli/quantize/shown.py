"""What quantizing came to, for people and for programs.

Does not know: how it was done.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from penjing.cli import talk
from penjing.files import human

if TYPE_CHECKING:
    from penjing.shrink.quantize.budget import Budgeted
    from penjing.shrink.quantize.mix import Quantized

SHOWN = 3
"""Names of tensors that are told."""


def tell(model: str, source: Path, done: Quantized, fitted: Budgeted | None) -> None:
    """Say it on stderr. `model` as the person named it, `source` what was quantized."""
    from penjing.probe import single
    from penjing.shrink.steps.quantize import fallbacks

    made = single.read(done.path)
    talk.note(
        "{size} of {before}, {bits:.2f} bits a weight: {types}",
        size=human(done.path.stat().st_size),
        before=human(source.stat().st_size),
        bits=made.bits_per_weight,
        types=", ".join(f"{count} × {kind}" for kind, count in sorted(done.types.items())),
    )
    if done.fallbacks:
        named = [f"{name} ({kind})" for name, kind in list(done.fallbacks.items())[:SHOWN]]
        talk.warn(
            "{count} tensors got a larger type, since their rows are no multiple of 256: {names}",
            count=len(done.fallbacks),
            names=", ".join(named) + (" ..." if len(done.fallbacks) > SHOWN else ""),
        )
    if fitted is not None:
        for remark in fallbacks(made, made.tensors, ""):
            talk.warn("{detail}", detail=remark.words())
        told = "Divergence from the original on the calibration text: {kl:.5f} nats a token ({tried} files tried)."
        expected = "Divergence from the original, as estimated: {kl:.5f} nats a token."
        measured = fitted.measured is not None
        kl = fitted.measured if fitted.measured is not None else fitted.expected
        talk.note(told if measured else expected, kl=kl, tried=fitted.tried)
    talk.note("What it lost: penjing evaluate {path} --against {source}", path=done.path, source=model)


def document(source: Path, done: Quantized, fitted: Budgeted | None) -> dict[str, Any]:
    """The same for programs."""
    from penjing.probe import single

    made = single.read(done.path)
    found: dict[str, Any] = {
        "path": str(done.path),
        "source": str(source),
        "bytes": done.path.stat().st_size,
        "source_bytes": source.stat().st_size,
        "bits_per_weight": made.bits_per_weight,
        "label": done.label,
        "types": {tensor.name: tensor.type for tensor in made.tensors},
        "fallbacks": done.fallbacks,
    }
    if fitted is not None:
        found |= {"kl_expected": fitted.expected, "kl_measured": fitted.measured, "files_tried": fitted.tried}
    return found
