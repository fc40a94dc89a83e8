"""From the MODEL a person types to a `.gguf` file an engine can load.

`guide` is the built-in model, a `.gguf` file is itself, a checkpoint folder is converted once into the cache.

Does not know: URLs (those are `engines.remote`'s), engines, downloads.
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Literal

from penjing.errors import ModelNotFound
from penjing.probe import model as probe
from penjing.progress import Report

GUIDE = "guide"
NEAR = 3


@dataclass(frozen=True)
class Resolved:
    """`path` is the file an engine loads, `source` what the person named, `kind` what that was."""

    name: str
    path: Path
    source: Path
    kind: Literal["guide", "gguf", "checkpoint"]


class NoSuchModel(ModelNotFound):
    """A name near to ones that exist. Facts: `model`, `near`, `first`."""

    template = "There is no model '{model}' here. Near it: {near}"
    hint = "Try: penjing chat {first}"


def resolve(name: str, *, bits: int | None = None, progress: Report | None = None) -> Resolved:
    """The engine-ready file of `name`. `bits` (4, 8 or 16; None is 16 for a checkpoint and leaves a `.gguf` as it is)
    chooses the quantization. Raises ModelNotFound, ModelCorrupt, ModelUnsupported, DiskFull, SettingError."""
    if name == GUIDE:
        path = guide()
        return Resolved(GUIDE, path, path, "guide")
    source = Path(name).expanduser()
    if not source.exists():
        raise _not_found(name, source)
    found = probe.read(source)
    return Resolved(found.path.stem, found.path, source, "gguf")


def guide() -> Path:
    """The embedded model. Raises ModelNotFound where this copy of penjing was built without it."""
    path = Path(str(resources.files("penjing") / "data" / "guide" / "guide.gguf"))
    if not path.is_file():
        raise ModelNotFound(model=GUIDE)
    return path


def _not_found(name: str, source: Path) -> ModelNotFound:
    parent = source.parent
    here = [entry for entry in parent.iterdir() if _a_model(entry)] if parent.is_dir() else []
    names = [str(entry) for entry in here] + [GUIDE]
    near = difflib.get_close_matches(name, names, NEAR, 0.5) or [
        str(entry) for entry in here if source.stem.lower() in entry.name.lower()
    ]
    if not near:
        return ModelNotFound(model=name)
    return NoSuchModel(model=name, near=", ".join(near[:NEAR]), first=near[0])


def _a_model(entry: Path) -> bool:
    return entry.suffix == ".gguf" or (entry / "config.json").is_file()
