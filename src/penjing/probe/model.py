"""What a model on disk is, from its headers alone: a `.gguf` file (or one of its shards) or a checkpoint folder.

Nothing is believed before it is checked against the file's size, so that a damaged or hostile file costs a few pages
of memory and ends in a typed error.

Does not know: how much memory a model needs (`plan.memory`), how to load or convert it.
"""

from __future__ import annotations

from pathlib import Path

from penjing.errors import ModelNotFound
from penjing.probe import checkpoint, single
from penjing.probe.facts import Model
from penjing.probe.faults import ManyModels, NotAFile, NoWeights
from penjing.probe.looks import look
from penjing.probe.tensor import Tensor

__all__ = ["Model", "Tensor", "read"]


def read(path: Path) -> Model:
    """The model at `path`. Raises ModelNotFound, ModelCorrupt, ModelUnsupported, each with what was wrong and where."""
    if path.is_dir():
        return _folder(path)
    if not path.exists():
        raise ModelNotFound(model=str(path))
    if not path.is_file():
        raise NotAFile(path=str(path))
    kind = look(path)
    return single.read(path) if kind == "gguf" else checkpoint.read_file(path)


def _folder(path: Path) -> Model:
    names = [name for name in sorted(path.glob("*.gguf")) if single.first_shard(name) == name]
    if checkpoint.has_weights(path) or (not names and checkpoint.present(path)):
        return checkpoint.read(path)
    if len(names) > 1:
        raise ManyModels(path=str(path), names=", ".join(name.name for name in names), first=str(names[0]))
    if names:
        return read(names[0])
    raise NoWeights(model=str(path), path=str(path))
