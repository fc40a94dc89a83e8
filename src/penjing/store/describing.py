"""What a manifest says of a model, from the headers of its files.

Does not know: manifests, where the files came from.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from penjing.errors import ModelUnsupported
from penjing.probe import gguf, single
from penjing.probe.facts import Model

SHOWN = ("architecture", "parameters", "context", "layers", "vocabulary", "experts", "quantization")


def facts(paths: Sequence[Path]) -> dict[str, object]:
    """Of the GGUF among `paths` (its shards together; a projector is left out); empty where there is none. A name
    there need not end in .gguf. Empty too of a model of tomorrow: an engine may know it where this penjing does not.
    Raises ModelCorrupt."""
    try:
        return _facts(paths)
    except ModelUnsupported:
        return {}


def _facts(paths: Sequence[Path]) -> dict[str, object]:
    models = [path for path in paths if _begins(path) == gguf.MAGIC]
    headers = [(path, gguf.read(path)) for path in models]
    whole = [(path, header) for path, header in headers if header.metadata.get("general.architecture") != "clip"]
    if not whole:
        return {}
    return of(single.assemble(tuple(path for path, _ in whole), [header for _, header in whole]))


def of(model: Model) -> dict[str, object]:
    """The facts people ask for first."""
    told = {name: getattr(model, name) for name in SHOWN}
    told["bits_per_weight"] = round(model.bits_per_weight, 2)
    return {name: value for name, value in told.items() if value}


def _begins(path: Path) -> bytes:
    with path.open("rb") as stream:
        return stream.read(len(gguf.MAGIC))
