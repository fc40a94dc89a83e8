"""What `penjing tune` chose for a model on this machine, for verbs that run it; what a person says counts more.

Does not know: how it was found.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from penjing.cli import talk
from penjing.errors import PenjingError

if TYPE_CHECKING:
    from penjing.engines.llamacpp import EngineOptions
    from penjing.operate.tune.kept import Tuned
    from penjing.operate.tune.ways import Way
    from penjing.progress import Report
    from penjing.store.resolve import Found

TOLD: set[tuple[Path, str]] = set()
"""What was said already in this process."""


def tuned(found: Found, options: EngineOptions, file: Path | Callable[[Report], Path], workload: str) -> EngineOptions:
    """`options` with what was chosen for `workload`, said once; as they are where nothing was chosen, what was chosen
    is not here any more, or `options` choose an engine themselves."""
    from penjing.operate.tune import kept

    if found.kind == "sealed" or options.embeddings or options.lora or not kept.any_kept() or sees(found, options):
        return options
    if any(value is not None for value in (options.engine, options.scheduler, options.library)):
        return options
    from penjing.probe import machine

    source = found.source if callable(file) else file
    known = kept.read(machine.read(), source)
    way = known.way(workload) if known else None
    if known is None or way is None:
        return options
    lacking = missing(way)
    if lacking:
        _tell(source, "gone", "What penjing tune chose for {model} is not here any more: {detail}", found, lacking)
        return options
    label = ", ".join(filter(None, (way.computes, way.turned)))
    _tell(source, workload, "{model} is computed as penjing tune chose ({detail}).", found, f"{workload}: {label}")
    return as_wanted(way, known, options)


def sees(found: Found, options: EngineOptions) -> bool:
    """Whether it may have a projector: llama.cpp's own server alone computes pictures, so that there is no choice."""
    from penjing.engines.llamacpp import projector
    from penjing.engines.llamacpp.options import NO_PROJECTOR

    if options.mmproj is not None:
        return options.mmproj != NO_PROJECTOR
    kept = found.version.manifest.files if found.version else ()
    return any(projector.MARK in each.path.lower() for each in kept) or bool(projector.beside(found.source))


def as_wanted(way: Way, known: Tuned, options: EngineOptions) -> EngineOptions:
    """The way's values; the usual way of a model says nothing, so that what is usual may change."""
    return options if way == known.tried[0].way else way.over(options)


def missing(way: Way) -> str:
    """What `way` needs and this machine has not; empty where it has all."""
    from penjing.engines import mlx
    from penjing.engines.openvino import extra
    from penjing.native import libraries

    if way.engine == "openvino" and not extra.present():
        return "openvino"
    if way.engine == "mlx" and not mlx.present():
        return "mlx"
    try:
        if way.library:
            libraries.find(way.library)
    except PenjingError:
        return str(way.library)
    return ""


def _tell(source: Path, what: str, template: str, found: Found, detail: str) -> None:
    if (source, what) not in TOLD:
        TOLD.add((source, what))
        talk.note(template, model=found.name, detail=detail)
